package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"
)

// What a client program says to the runner: one JSON line a step on standard output. Its questions go the same way, the answers
// come on standard input.

var (
	answers  = make(chan string, 64)
	printing sync.Mutex
)

// outcome is what a step that measured for itself returns.
type outcome struct {
	ms     float64
	detail string
}

func listen() {
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			answers <- lines.Text()
		}
		os.Exit(3) // the runner is gone: a client program must not outlive it
	}()
}

func say(value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(text))
}

func ask(what string) string {
	say(map[string]string{"ask": what})
	return <-answers
}

func since(start time.Time) float64 { return float64(time.Since(start).Microseconds()) / 1000 }

func run(step string, body func() (outcome, error)) bool {
	start := time.Now()
	got, err := body()
	result, ms, detail := "ok", got.ms, got.detail
	if ms == 0 {
		ms = since(start)
	}
	if err != nil {
		result, ms, detail = "fail", since(start), err.Error()
	}
	say(map[string]any{
		"client": "go", "version": os.Getenv("COMPAT_VERSION"), "step": step, "result": result, "ms": ms, "detail": detail,
	})
	return err == nil
}

// together runs all of them at once and waits for the last.
func together(bodies ...func()) {
	var all sync.WaitGroup
	for _, body := range bodies {
		all.Add(1)
		go func() {
			defer all.Done()
			body()
		}()
	}
	all.Wait()
}

func eventually(what string, within time.Duration, probe func() bool) error {
	start := time.Now()
	for !probe() {
		if time.Since(start) > within {
			return fmt.Errorf("%s: not within %s", what, within)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

func times(taken []float64) outcome {
	sorted := append([]float64{}, taken...)
	sort.Float64s(sorted)
	p50 := sorted[(len(sorted)-1)/2]
	return outcome{p50, fmt.Sprintf("n=%d p50=%.1f max=%.1f", len(sorted), p50, sorted[len(sorted)-1])}
}
