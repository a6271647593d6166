package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"
)

// A unit does one piece of work, says how long the server took for it, and records its single requests.
type unit func(requests *recorder) (time.Duration, error)

type recorder struct {
	mu        sync.Mutex
	latencies map[string][]float64 // ms
	errors    map[string]int
}

func newRecorder() *recorder {
	return &recorder{latencies: map[string][]float64{}, errors: map[string]int{}}
}

func (r *recorder) add(kind string, took time.Duration) {
	r.mu.Lock()
	r.latencies[kind] = append(r.latencies[kind], float64(took.Microseconds())/1000)
	r.mu.Unlock()
}

func (r *recorder) fail(err error) {
	text := fmt.Sprintf("%.300s", err)
	r.mu.Lock()
	r.errors[text]++
	r.mu.Unlock()
}

func (r *recorder) count(kind string) int { return len(r.latencies[kind]) }

type percentiles struct {
	N    int     `json:"n"`
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P95  float64 `json:"p95_ms"`
	P99  float64 `json:"p99_ms"`
}

func summarize(values []float64) percentiles {
	if len(values) == 0 {
		return percentiles{}
	}
	sort.Float64s(values)
	at := func(p float64) float64 { return values[int(p*float64(len(values)-1)+0.5)] }
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return percentiles{len(values), round(sum / float64(len(values))), round(at(.5)), round(at(.95)), round(at(.99))}
}

func round(x float64) float64 { return float64(int(x*1000+0.5)) / 1000 }

type result struct {
	Peer       string                 `json:"peer"`
	Kind       string                 `json:"kind"`
	Note       string                 `json:"note"`
	Conc       int                    `json:"concurrency"`
	Done       int                    `json:"done"`
	Failed     int                    `json:"failed"`
	Seconds    float64                `json:"seconds"`
	Rate       float64                `json:"per_second"`
	Unit       percentiles            `json:"unit"`
	Requests   map[string]percentiles `json:"requests"`
	Errors     map[string]int         `json:"errors"`
	ServerMS   float64                `json:"server_cpu_ms_per_unit"`
	ServerBy   map[string]float64     `json:"server_cpu_ms_per_unit_by_process"`
	ServerLoad float64                `json:"server_cores_busy"`
	ClientLoad float64                `json:"client_cores_busy"`
	When       string                 `json:"when"`
}

// drive lets each worker do its unit again and again for the given time and prints the figures.
func drive(o *options, kind string, workers []unit) {
	each(workers, func(u unit) {
		for i := 0; i < o.warm; i++ {
			if _, err := u(newRecorder()); err != nil {
				die(fmt.Errorf("warm-up: %w", err))
			}
		}
	})
	rec, roots := newRecorder(), parsePids(o.pids)
	cpu, self, start := processes(roots), ownCPU(), time.Now()
	each(workers, func(u unit) {
		for n, failures := 1, 0; time.Since(start) < o.seconds && failures < 50; n++ {
			due := o.due(start, n)
			time.Sleep(time.Until(due))
			took, err := u(rec)
			if err != nil {
				rec.fail(err)
				failures++
				time.Sleep(20 * time.Millisecond)
				continue
			}
			if o.rate > 0 {
				took = time.Since(due) // a server that is late makes the next ones late too
			}
			rec.add("unit", took)
		}
	})
	seconds := time.Since(start).Seconds()
	show(o, kind, rec, start, seconds, spent(cpu, processes(roots)), ownCPU()-self)
}

// due is when a worker's n-th unit begins: now, unless a rate is asked for.
func (o *options) due(start time.Time, n int) time.Time {
	if o.rate == 0 {
		return time.Now()
	}
	return start.Add(time.Duration(float64(n) * float64(o.conc) / o.rate * float64(time.Second)))
}

func each(workers []unit, work func(unit)) {
	var wg sync.WaitGroup
	for _, u := range workers {
		wg.Add(1)
		go func(u unit) {
			defer wg.Done()
			work(u)
		}(u)
	}
	wg.Wait()
}

func show(o *options, kind string, rec *recorder, start time.Time, seconds float64, server map[string]float64, self float64) {
	done, failed, total := rec.count("unit"), 0, 0.0
	for _, n := range rec.errors {
		failed += n
	}
	r := result{Peer: o.peer, Kind: kind, Note: o.note, Conc: o.conc, Done: done, Failed: failed, Errors: rec.errors,
		Seconds: round(seconds), Rate: round(float64(done) / seconds), Requests: map[string]percentiles{},
		ServerBy: map[string]float64{}, When: start.UTC().Format(time.RFC3339)}
	for name, values := range rec.latencies {
		r.Requests[name] = summarize(values)
	}
	r.Unit = r.Requests["unit"]
	delete(r.Requests, "unit")
	for process, s := range server {
		total += s
		if done > 0 && s > 0 {
			r.ServerBy[process] = round(s * 1000 / float64(done))
		}
	}
	if done > 0 {
		r.ServerMS = round(total * 1000 / float64(done))
	}
	r.ServerLoad, r.ClientLoad = round(total/seconds), round(self/seconds)
	die(json.NewEncoder(os.Stdout).Encode(r))
}
