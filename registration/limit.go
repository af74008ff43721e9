package registration

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
	"gosrc.io/xmpp/stanza"

	"transportd/component"
)

// Limits bound how often networks are asked about accounts. Zero values stand
// for the defaults; a negative time is no limit.
type Limits struct {
	UserEvery   time.Duration // one attempt of a user in this time; default 30 s
	UserBurst   int           // and this many at once; default 5
	DomainEvery time.Duration // one attempt of all users of a domain; default 2 s
	DomainBurst int           // default 30
}

// maxBuckets bounds how many users and domains are remembered.
const maxBuckets = 10000

// limiter counts attempts by user and by domain.
type limiter struct {
	cfg     Limits
	mu      sync.Mutex
	buckets map[component.JID]*rate.Limiter // a domain has no local part
}

func (cfg *Limits) setDefaults() {
	if cfg.UserEvery == 0 {
		cfg.UserEvery = 30 * time.Second
	}
	if cfg.UserBurst == 0 {
		cfg.UserBurst = 5
	}
	if cfg.DomainEvery == 0 {
		cfg.DomainEvery = 2 * time.Second
	}
	if cfg.DomainBurst == 0 {
		cfg.DomainBurst = 30
	}
}

func newLimiter(cfg Limits) *limiter {
	cfg.setDefaults()
	return &limiter{cfg: cfg, buckets: make(map[component.JID]*rate.Limiter)}
}

// set replaces the limits. Where they have changed what was used up is forgotten.
func (l *limiter) set(cfg Limits) {
	cfg.setDefaults()
	l.mu.Lock()
	defer l.mu.Unlock()
	if cfg != l.cfg {
		l.cfg = cfg
		clear(l.buckets)
	}
}

// attempt counts an attempt; the error says that there were too many.
func (l *limiter) attempt(user component.JID) error {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.bucket(user.Bare(), l.cfg.UserEvery, l.cfg.UserBurst, now)
	domain := l.bucket(component.JID{Domain: user.Domain}, l.cfg.DomainEvery, l.cfg.DomainBurst, now)
	if own == nil || domain == nil || !own.AllowN(now, 1) || !domain.AllowN(now, 1) {
		return component.NewStanzaError(stanza.ErrorTypeWait, "resource-constraint",
			"There were too many attempts. Please wait a while and try again.")
	}
	return nil
}

// bucket returns the bucket of a user or domain; nil when too many are in use.
func (l *limiter) bucket(key component.JID, every time.Duration, burst int, now time.Time) *rate.Limiter {
	if b := l.buckets[key]; b != nil {
		return b
	}
	if len(l.buckets) >= maxBuckets {
		// A full bucket remembers nothing.
		for k, b := range l.buckets {
			if b.TokensAt(now) >= float64(b.Burst()) {
				delete(l.buckets, k)
			}
		}
		if len(l.buckets) >= maxBuckets {
			return nil
		}
	}
	b := rate.NewLimiter(rate.Every(every), burst)
	l.buckets[key] = b
	return b
}
