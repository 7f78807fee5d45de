// Locks and watches, by the definitions of ../coordinating.py.
package main

import (
	"context"
	"fmt"
	"log"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/concurrency"
)

const (
	lockTTLSeconds = 30
	watchWriters   = 4
	watchPrefix    = "watched/"
	stampDigits    = 19
)

// locks has each of so many claimants take and release a lock, of its own or the one of all. Each has
// a session, without which etcd does not tell them apart.
func locks(clients []*clientv3.Client, claimants int, one bool, length time.Duration) (tally, time.Duration) {
	mutexes := make([]*concurrency.Mutex, claimants)
	for i := range mutexes {
		session, err := concurrency.NewSession(clients[i%len(clients)], concurrency.WithTTL(lockTTLSeconds))
		if err != nil {
			log.Fatal(err)
		}
		defer session.Close() // what it holds would hinder whoever comes next
		name := "one-lock"
		if !one {
			name = fmt.Sprintf("lock-%d", i)
		}
		mutexes[i] = concurrency.NewMutex(session, name)
	}
	begin := time.Now()
	ctx, cancel := context.WithDeadline(context.Background(), begin.Add(length))
	defer cancel()
	tallies := make([]tally, claimants)
	var wait sync.WaitGroup
	for i := range mutexes {
		wait.Add(1)
		go func(mutex *concurrency.Mutex, mine *tally) {
			defer wait.Done()
			for ctx.Err() == nil {
				asked := time.Now()
				err := mutex.Lock(ctx)
				held := time.Since(asked)
				if err == nil {
					err = mutex.Unlock(ctx)
				}
				switch {
				case ctx.Err() != nil:
				case err != nil:
					mine.errors++
				case one:
					mine.latencies = append(mine.latencies, held)
				default:
					mine.latencies = append(mine.latencies, time.Since(asked))
				}
			}
		}(mutexes[i], &tallies[i])
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

// watch returns how many events reached so many watchers, and when those of the first one came.
func watch(clients []*clientv3.Client, watchers int, size int, length time.Duration) (int64, tally, time.Duration) {
	var delivered int64
	var all tally
	var counting int32
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var ready, wait sync.WaitGroup
	for i := 0; i < watchers; i++ {
		channel := clients[i%len(clients)].Watch(ctx, watchPrefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		ready.Add(1)
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			<-channel
			ready.Done()
			for answer := range channel {
				if atomic.LoadInt32(&counting) == 0 {
					continue
				}
				atomic.AddInt64(&delivered, int64(len(answer.Events)))
				if i == 0 {
					now := time.Now().UnixNano()
					for _, event := range answer.Events {
						put, _ := strconv.ParseInt(string(event.Kv.Value[:stampDigits]), 10, 64)
						all.latencies = append(all.latencies, time.Duration(now-put))
					}
				}
			}
		}(i)
	}
	ready.Wait()
	var errors int64
	var writers sync.WaitGroup
	begin := time.Now()
	end := begin.Add(length)
	atomic.StoreInt32(&counting, 1)
	for w := 0; w < watchWriters; w++ {
		writers.Add(1)
		go func(w int) {
			defer writers.Done()
			client := clients[w%len(clients)]
			for n := 0; time.Now().Before(end); n++ {
				stamp := fmt.Sprintf("%0*d", stampDigits, time.Now().UnixNano())
				value := stamp + strings.Repeat("x", size-len(stamp))
				if _, err := client.Put(ctx, fmt.Sprintf("%s%d-%d", watchPrefix, w, n%1000), value); err != nil {
					atomic.AddInt64(&errors, 1)
				}
			}
		}(w)
	}
	writers.Wait()
	atomic.StoreInt32(&counting, 0)
	elapsed := time.Since(begin)
	cancel()
	wait.Wait()
	all.errors = int(errors)
	return atomic.LoadInt64(&delivered), all, elapsed
}
