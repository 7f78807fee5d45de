// A closed loop of operations on an etcd cluster, for the comparison that `just bench` makes.
//
// It keeps -outstanding operations in flight over -connections connections for -seconds, and prints
// one line of JSON with the fields of `raftzmq client bench -w json`. With -op pause one writer puts
// key after key, says "ready" when the first is done, and in the end prints the longest time between
// two acknowledgements.
//
// Built without modules against Debian's golang-etcd-server-dev, so that apt is all that it needs.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/clientv3"
)

const (
	operationTimeout = 5 * time.Second
	// A writer that waits for a dead leader learns nothing: it gives up soon and asks another.
	pauseTimeout = 100 * time.Millisecond
	pauseRetry   = 2 * time.Millisecond
	fillers      = 256
)

type operation func(ctx context.Context, client *clientv3.Client, key string) error

type tally struct {
	latencies []time.Duration
	errors    int
}

func main() {
	log.SetFlags(0)
	endpoints := flag.String("endpoints", "127.0.0.1:2379", "HOST:PORT, separated by commas")
	op := flag.String("op", "put", "put, get (linearizable), stale (serializable), mixed, lock, onelock, watch, or pause")
	outstanding := flag.Int("outstanding", 64, "operations in flight")
	connections := flag.Int("connections", 8, "connections, at most as many as operations")
	seconds := flag.Float64("seconds", 5, "length of the loop")
	size := flag.Int("size", 100, "bytes of a value")
	keys := flag.Int("keys", 10000, "different keys")
	secured := flag.Bool("tls", false, "speak TLS; whose certificate it is does not matter here")
	flag.Parse()

	clients := connect(strings.Split(*endpoints, ","), min(*connections, *outstanding), *secured)
	value := strings.Repeat("x", *size)
	names := make([]string, *keys)
	for i := range names {
		names[i] = fmt.Sprintf("raftzmq-bench/%06d", i)
	}
	length := time.Duration(*seconds * float64(time.Second))
	put := func(ctx context.Context, c *clientv3.Client, key string) error {
		_, err := c.Put(ctx, key, value)
		return err
	}
	get := func(ctx context.Context, c *clientv3.Client, key string) error {
		_, err := c.Get(ctx, key)
		return err
	}
	stale := func(ctx context.Context, c *clientv3.Client, key string) error {
		_, err := c.Get(ctx, key, clientv3.WithSerializable())
		return err
	}
	if *op == "pause" {
		pause(clients[0], put, names, length)
		return
	}
	switch *op {
	case "lock", "onelock":
		all, elapsed := locks(clients, *outstanding, *op == "onelock", length)
		report(*op, *outstanding, *size, all, len(all.latencies), elapsed)
		return
	case "watch":
		delivered, all, elapsed := watch(clients, *outstanding, *size, length)
		report(*op, *outstanding, *size, all, int(delivered), elapsed)
		return
	}
	operations := map[string][]operation{"put": {put}, "get": {get}, "stale": {stale}, "mixed": {put, get}}
	turns, known := operations[*op]
	if !known {
		log.Fatalf("unknown -op %s", *op)
	}
	if *op != "put" {
		fill(clients, put, names)
	}
	// Connections are made before the clock runs.
	for _, c := range clients {
		ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
		if err := put(ctx, c, names[0]); err != nil {
			log.Fatal(err)
		}
		cancel()
	}
	all, elapsed := loop(clients, turns, names, *outstanding, length)
	report(*op, *outstanding, *size, all, len(all.latencies), elapsed)
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func connect(endpoints []string, count int, secured bool) []*clientv3.Client {
	config := clientv3.Config{Endpoints: endpoints, DialTimeout: operationTimeout}
	if secured {
		// etcd made its certificate itself, for this run. What it costs is the same.
		config.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	var clients []*clientv3.Client
	for i := 0; i < count; i++ {
		client, err := clientv3.New(config)
		if err != nil {
			log.Fatal(err)
		}
		clients = append(clients, client)
	}
	return clients
}

func fill(clients []*clientv3.Client, put operation, names []string) {
	var next int64 = -1
	var wait sync.WaitGroup
	for i := 0; i < fillers; i++ {
		wait.Add(1)
		go func(client *clientv3.Client) {
			defer wait.Done()
			for n := atomic.AddInt64(&next, 1); n < int64(len(names)); n = atomic.AddInt64(&next, 1) {
				ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
				if err := put(ctx, client, names[n]); err != nil {
					log.Fatal(err)
				}
				cancel()
			}
		}(clients[i%len(clients)])
	}
	wait.Wait()
}

func loop(clients []*clientv3.Client, turns []operation, names []string, outstanding int, length time.Duration) (tally, time.Duration) {
	tallies := make([]tally, outstanding)
	var wait sync.WaitGroup
	begin := time.Now()
	end := begin.Add(length)
	for i := 0; i < outstanding; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			mine := tally{latencies: make([]time.Duration, 0, 4096)}
			client := clients[i%len(clients)]
			now := time.Now()
			for n := i; now.Before(end); n += outstanding {
				ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
				// (i + round) and not n: an even number in flight would give each caller one kind.
				err := turns[(i+n/outstanding)%len(turns)](ctx, client, names[n%len(names)])
				cancel()
				after := time.Now()
				if err != nil {
					mine.errors++
				} else {
					mine.latencies = append(mine.latencies, after.Sub(now))
				}
				now = after
			}
			tallies[i] = mine
		}(i)
	}
	wait.Wait()
	elapsed := time.Since(begin)
	var all tally
	for _, t := range tallies {
		all.latencies = append(all.latencies, t.latencies...)
		all.errors += t.errors
	}
	return all, elapsed
}

func pause(client *clientv3.Client, put operation, names []string, length time.Duration) {
	encoder := json.NewEncoder(os.Stdout)
	var longest time.Duration
	done, errors := 0, 0
	var last, end time.Time
	for n := 0; last.IsZero() || time.Now().Before(end); n++ {
		ctx, cancel := context.WithTimeout(context.Background(), pauseTimeout)
		err := put(ctx, client, names[n%len(names)])
		cancel()
		now := time.Now()
		if err != nil {
			errors++
			time.Sleep(pauseRetry)
			continue
		}
		if last.IsZero() {
			end = now.Add(length)
			fmt.Println("ready")
		} else if now.Sub(last) > longest {
			longest = now.Sub(last)
		}
		last = now
		done++
	}
	if now := time.Now(); now.Sub(last) > longest {
		longest = now.Sub(last)
	}
	encoder.Encode(map[string]interface{}{"longest_s": longest.Seconds(), "done": done, "errors": errors})
}

func report(op string, outstanding, size int, all tally, count int, elapsed time.Duration) {
	sort.Slice(all.latencies, func(i, j int) bool { return all.latencies[i] < all.latencies[j] })
	// The latency that this share did not exceed, by the nearest rank; null if there is none.
	percentile := func(share float64) interface{} {
		if len(all.latencies) == 0 {
			return nil
		}
		rank := int(math.Ceil(share * float64(len(all.latencies))))
		if rank < 1 {
			rank = 1
		}
		return float64(all.latencies[rank-1].Microseconds()) / 1000
	}
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"op": op, "outstanding": outstanding, "value_bytes": size,
		"ops_per_s": math.Round(10*float64(count)/elapsed.Seconds()) / 10,
		"p50_ms":    percentile(.5), "p99_ms": percentile(.99),
		"p999_ms": percentile(.999), "max_ms": percentile(1), "errors": all.errors,
	})
}
