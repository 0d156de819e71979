package simulator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

// Server is the simulated backend: an [http.Handler] for the sockets and the
// REST API of its accounts. It is safe for concurrent use.
type Server struct {
	opts     Options
	accounts map[string]*account // never written to
	mux      *http.ServeMux
	valve    valve
	running  atomic.Bool

	ctx  context.Context // done when the server is closed
	stop context.CancelCauseFunc

	mu       sync.Mutex // guards closed, and requests.Add against Wait
	closed   bool
	requests sync.WaitGroup
}

var _ http.Handler = (*Server)(nil)

// New makes a server. It starts nothing: customers come with [Server.Run].
func New(opts Options) *Server {
	opts = opts.withDefaults()
	s := &Server{opts: opts, accounts: map[string]*account{}, mux: http.NewServeMux()}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	for _, a := range opts.Accounts {
		s.accounts[a.ID] = newAccount(a, opts)
	}
	s.mux.HandleFunc("GET /ws/accounts/{account}/{$}", s.handshake)
	s.mux.HandleFunc("GET /api/v1/accounts/{account}/conversations/{$}", s.rest(s.list))
	s.mux.HandleFunc("GET /api/v1/accounts/{account}/conversations/{id}/{$}", s.rest(s.detail))
	if opts.Control {
		s.control()
	}
	return s
}

// ServeHTTP serves one request; for a socket it returns when that is over.
// After [Server.Close] everything is answered with 503.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer s.requests.Done()
	s.mux.ServeHTTP(w, r)
}

func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.requests.Add(1)
	return true
}

// Close ends Run, all faults and all sockets, without close handshakes, and
// returns when every request is over. Call it before closing the listener: an
// [http.Server] does not know of sockets. Further calls do nothing. Counts can
// be read after it.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop(errClosed)
	for _, a := range s.accounts {
		a.close()
	}
	s.requests.Wait()
	return nil
}

// Run drives the customers until ctx ends or the server is closed, which is no
// error. It is an error to call it while it runs already; after it returned it
// can be called again, and the customers go on where they were.
func (s *Server) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("run simulated customers: they are running already")
	}
	defer s.running.Store(false)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()

	var customers sync.WaitGroup
	errs := make([]error, len(s.accounts))
	for i, id := range slices.Sorted(maps.Keys(s.accounts)) {
		customers.Go(func() {
			if errs[i] = s.accounts[id].drive(ctx, &s.valve); errs[i] != nil {
				cancel()
			}
		})
	}
	customers.Wait()
	return errors.Join(errs...)
}

// Pause stops the customers. When it returns, what they did has been queued
// for every socket, and nothing follows until [Server.Resume]. Actions, faults
// and methods work on.
func (s *Server) Pause() { s.valve.close() }

// Resume lets paused customers go on.
func (s *Server) Resume() { s.valve.open() }

func (s *Server) account(id string) (*account, error) {
	a, known := s.accounts[id]
	if !known {
		return nil, fmt.Errorf("account %q: %w", id, ErrNotFound)
	}
	return a, nil
}
