"""What the scheduler counts; in files that the web process's /metrics reads (PROMETHEUS_MULTIPROC_DIR)."""

from prometheus_client import Counter, Gauge, Histogram

RUNS = Counter("certwright_job_runs_total", "Runs of a scheduled job, by result ok or failed.", ["job", "result"])
DONE = Counter(
    "certwright_job_objects_total", "Objects of scheduled jobs, by result done or failed.", ["job", "result"]
)
SECONDS = Histogram("certwright_job_seconds", "Duration of a scheduled job.", ["job"], buckets=(0.01, 0.1, 1, 10, 60))
LEASE = Gauge("certwright_scheduler_leader", "1 on the node that runs the jobs.", multiprocess_mode="mostrecent")
