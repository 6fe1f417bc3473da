package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Limits that hold for every figure.
const (
	maxRSS      = 200_000_000
	maxOverhead = 0.01 // of the content's bytes
)

// report prints the tables and returns how many limits are missed.
func report(w io.Writer, o options, results []result) int {
	missed := 0
	verdict := func(ok bool) string {
		if ok {
			return "yes"
		}
		missed++
		return "**no**"
	}
	fmt.Fprintf(w, "Machine: %s, %d cores, %s/%s, %s. %d rounds, file of %d MiB, folder of %d files of 4 KiB.\n\n",
		processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), o.rounds, o.size>>20, o.files)
	fmt.Fprintln(w, "| figure | bridge | reference | ratio | range of the rounds | limit | reached |")
	fmt.Fprintln(w, "| --- | ---: | ---: | ---: | ---: | ---: | --- |")
	for _, r := range results {
		ours, theirs := median(r.what, r.ours), median(r.what, r.theirs)
		ratio := float64(ours) / float64(theirs)
		low, high := spread(r)
		fmt.Fprintf(w, "| %s | %.2f s | %.2f s | %.2f | %.2f to %.2f | %.2f | %s |\n", r.name, ours.Seconds(), theirs.Seconds(),
			ratio, low, high, r.limit, verdict(ratio <= r.limit))
	}
	fmt.Fprintf(w, "\n| figure | peak memory of the bridge | under 200 MB | disk beyond the bytes | under 1 %% | processor time |\n")
	fmt.Fprintln(w, "| --- | ---: | --- | ---: | --- | ---: |")
	for _, r := range results {
		var rss, disk int64
		for _, s := range r.ours {
			rss, disk = max(rss, s.rss), max(disk, s.disk)
		}
		share, ok := "", "small content"
		if r.bytes > 0 {
			part := float64(disk) / float64(r.bytes)
			share, ok = fmt.Sprintf(", %.2f %%", 100*part), verdict(part < maxOverhead)
		}
		fmt.Fprintf(w, "| %s | %d MB | %s | %.2f MB%s | %s | %.2f s |\n", r.name, rss/1_000_000, verdict(rss < maxRSS),
			float64(disk)/1e6, share, ok, median(cpu, r.ours).Seconds())
	}
	fmt.Fprintln(w)
	for _, r := range results {
		fmt.Fprintf(w, "- %s: %s\n", r.name, r.commands)
	}
	return missed
}

func median(what measured, samples []sample) time.Duration {
	values := make([]time.Duration, len(samples))
	for i, s := range samples {
		values[i] = what(s)
	}
	slices.Sort(values)
	n := len(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}

// spread is the lowest and the highest ratio of one round.
func spread(r result) (low, high float64) {
	for i := range r.ours {
		ratio := float64(r.what(r.ours[i])) / float64(r.what(r.theirs[i]))
		if i == 0 || ratio < low {
			low = ratio
		}
		high = max(high, ratio)
	}
	return low, high
}

// processor is the name that the system gives to the processor.
func processor() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
