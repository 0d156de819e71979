package filter

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// Cache has what events decode to, so that each is decoded once for the filters
// of all feeds. It is safe for concurrent use.
type Cache struct {
	decodes atomic.Uint64
	seed    maphash.Seed

	mu     sync.Mutex
	known  map[key]*decoded
	oldest []key // those in known, the oldest first
	bytes  int   // of the data of those in known
}

// The bounds of a cache. Feeds that are further apart than that decode anew.
const (
	maxKnown = 1024
	maxBytes = 4 << 20
)

// key tells events apart by their data too: what has the same id should be the
// same, but is not to be believed.
type key struct {
	account, id string
	typ         event.Type
	hash        uint64
}

// decoded is one event's data. It is read only.
type decoded struct {
	size int

	values    sync.Once
	v         values
	valuesErr error

	raw    sync.Once
	r      any
	rawErr error
}

// NewCache returns an empty cache.
func NewCache() *Cache {
	return &Cache{seed: maphash.MakeSeed(), known: map[key]*decoded{}}
}

// Decodes is how often data was decoded.
func (c *Cache) Decodes() uint64 { return c.decodes.Load() }

// fill puts what the expression uses of the event's data into its environment.
func (c *Cache) fill(env *environment, e event.Event, u uses) error {
	d := c.of(e)
	if u.values {
		d.values.Do(func() {
			c.decodes.Add(1)
			d.v, d.valuesErr = decodeValues(e)
		})
		if d.valuesErr != nil {
			return d.valuesErr
		}
		env.Message, env.Contact, env.Data = d.v.message, d.v.contact, d.v.data
	}
	if u.raw {
		d.raw.Do(func() {
			c.decodes.Add(1)
			d.r, d.rawErr = decodeRaw(e.Data)
		})
		if d.rawErr != nil {
			return d.rawErr
		}
		env.Raw = d.r
	}
	return nil
}

func (c *Cache) of(e event.Event) *decoded {
	k := key{e.Account, e.ID, e.Type, maphash.Bytes(c.seed, e.Data)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.known[k]; d != nil {
		return d
	}
	d := &decoded{size: len(e.Data)}
	if d.size > maxBytes {
		return d // it would have no room
	}
	for len(c.oldest) > 0 && (len(c.oldest) >= maxKnown || c.bytes+d.size > maxBytes) {
		c.bytes -= c.known[c.oldest[0]].size
		delete(c.known, c.oldest[0])
		c.oldest = c.oldest[1:]
	}
	c.known[k], c.oldest, c.bytes = d, append(c.oldest, k), c.bytes+d.size
	return d
}
