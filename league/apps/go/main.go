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
	"github.com/gofiber/fiber/v2"
	fiberlimiter "github.com/gofiber/fiber/v2/middleware/limiter"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	golimiter "github.com/sethvargo/go-limiter/httplimit"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	throttledmemory "github.com/throttled/throttled/v2/store/memstore"
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
		limited, err := golimiter.NewMiddleware(store, key)
		if err != nil {
			log.Fatal(err)
		}
		return limited.Handle(next)
	case "throttled":
		store, err := throttledmemory.NewCtx(0)
		if err != nil {
			log.Fatal(err)
		}
		quota := throttled.RateQuota{MaxRate: throttled.PerDuration(limit, window), MaxBurst: limit - 1}
		limiter, err := throttled.NewGCRARateLimiterCtx(store, quota)
		if err != nil {
			log.Fatal(err)
		}
		byClient := &throttled.VaryBy{Params: []string{"clientId"}}
		instance := throttled.HTTPRateLimiterCtx{RateLimiter: limiter, VaryBy: byClient}
		return instance.RateLimit(next)
	case "echo":
		server := echo.New()
		server.Use(middleware.RateLimiterWithConfig(middleware.RateLimiterConfig{
			Store: middleware.NewRateLimiterMemoryStoreWithConfig(
				middleware.RateLimiterMemoryStoreConfig{Rate: rate.Every(window / limit), Burst: limit},
			),
			IdentifierExtractor: func(c echo.Context) (string, error) { return key(c.Request()) },
		}))
		server.GET("/", echo.WrapHandler(next))
		return server
	}
	log.Fatalf("no limiter %q", name)
	return nil
}

// runFiber serves by fasthttp, which is no net/http.
func runFiber(address string, windows fiberlimiter.LimiterHandler) error {
	server := fiber.New(fiber.Config{DisableStartupMessage: true})
	server.Use(fiberlimiter.New(fiberlimiter.Config{
		Max:               limit,
		Expiration:        window,
		KeyGenerator:      func(c *fiber.Ctx) string { return c.Query("clientId") },
		LimiterMiddleware: windows,
	}))
	server.Get("/", func(c *fiber.Ctx) error { return c.SendString("hello\n") })
	return server.Listen(address)
}

func main() {
	address := "127.0.0.1:" + os.Args[2]
	switch os.Args[1] {
	case "fiber":
		log.Fatal(runFiber(address, fiberlimiter.FixedWindow{}))
	case "fiber sliding":
		log.Fatal(runFiber(address, fiberlimiter.SlidingWindow{}))
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	log.Fatal(http.ListenAndServe(address, handler(os.Args[1], hello)))
}
