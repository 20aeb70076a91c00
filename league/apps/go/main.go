// Limiters for Go's net/http, one a process. Arguments: name, port.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/go-chi/httprate"
	golimiter "github.com/sethvargo/go-limiter/httplimit"
	"github.com/sethvargo/go-limiter/memorystore"
	ulule "github.com/ulule/limiter/v3"
	ululehttp "github.com/ulule/limiter/v3/drivers/middleware/stdlib"
	ululememory "github.com/ulule/limiter/v3/drivers/store/memory"
	"golang.org/x/time/rate"
)

const (
	limit  = 5
	window = 5 * time.Second
)

func key(r *http.Request) (string, error) {
	return r.URL.Query().Get("clientId"), nil
}

// buckets is a golang.org/x/time/rate limiter for each key, as that package's users keep them.
func buckets(next http.Handler) http.Handler {
	var mutex sync.Mutex
	limiters := map[string]*rate.Limiter{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, _ := key(r)
		mutex.Lock()
		limiter, known := limiters[client]
		if !known {
			limiter = rate.NewLimiter(rate.Every(window/limit), limit)
			limiters[client] = limiter
		}
		mutex.Unlock()
		if !limiter.Allow() {
			http.Error(w, "slow down", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func handler(name string, next http.Handler) http.Handler {
	switch name {
	case "x/time/rate":
		return buckets(next)
	case "httprate":
		return httprate.LimitBy(limit, window, key)(next)
	case "ulule":
		instance := ulule.New(ululememory.NewStore(), ulule.Rate{Period: window, Limit: limit})
		byClient := ululehttp.WithKeyGetter(func(r *http.Request) string {
			client, _ := key(r)
			return client
		})
		return ululehttp.NewMiddleware(instance, byClient).Handler(next)
	case "go-limiter":
		store, err := memorystore.New(&memorystore.Config{Tokens: limit, Interval: window})
		if err != nil {
			log.Fatal(err)
		}
		middleware, err := golimiter.NewMiddleware(store, key)
		if err != nil {
			log.Fatal(err)
		}
		return middleware.Handle(next)
	}
	log.Fatalf("no limiter %q", name)
	return nil
}

func main() {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[2], handler(os.Args[1], hello)))
}
