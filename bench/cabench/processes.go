package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const ticks = 100 // USER_HZ on Linux

type process struct {
	name string
	cpu  float64 // seconds, with children it has waited for
}

func parsePids(text string) (pids []int) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		pid, err := strconv.Atoi(word)
		die(err)
		pids = append(pids, pid)
	}
	return pids
}

// processes reads the CPU time of everything below (and including) the roots.
func processes(roots []int) map[int]process {
	stats, children := map[int][]string{}, map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		parent, _ := strconv.Atoi(fields[1])
		stats[pid], children[parent] = fields, append(children[parent], pid)
	}
	found := map[int]process{}
	var walk func(pid int)
	walk = func(pid int) {
		if _, seen := found[pid]; seen || stats[pid] == nil {
			return
		}
		found[pid] = process{commandLine(pid), cpuSeconds(stats[pid])}
		for _, child := range children[pid] {
			walk(child)
		}
	}
	for _, root := range roots {
		walk(root)
	}
	return found
}

func cpuSeconds(fields []string) (sum float64) {
	for _, i := range []int{11, 12, 13, 14} { // utime stime cutime cstime
		x, _ := strconv.ParseFloat(fields[i], 64)
		sum += x / ticks
	}
	return sum
}

func commandLine(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))
}

// spent sums what each command line used between two looks. The time of a process that ended in between has moved to
// the one that waited for it, so what it had used before is taken off again.
func spent(before, after map[int]process) map[string]float64 {
	used := map[string]float64{}
	for pid, now := range after {
		used[now.name] += now.cpu - before[pid].cpu
	}
	for pid, then := range before {
		if _, lives := after[pid]; !lives {
			used[then.name] -= then.cpu
		}
	}
	return used
}

func ownCPU() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
}
