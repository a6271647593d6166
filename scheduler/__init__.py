"""The timetable and its one runner: it wakes the jobs of `ca` and `acme_server`; what a job does lives there."""
