// Package ops is what an operator sees of the running daemon: Prometheus
// metrics, health endpoints on a loopback listener, and the service manager's
// notifications.
//
// Nothing here is on a hot path. Whoever counts does so with an atomic of its
// own; a scrape asks for the present values through one function per gateway.
package ops

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// GatewayStats are the figures of one gateway at a scrape. Counts are since the
// start; Sessions, Links, Rooms and the queue figures are present numbers.
type GatewayStats struct {
	StreamUp      bool
	Connects      uint64 // logins that worked
	Failures      uint64 // attempts that did not
	StanzasIn     uint64
	StanzasOut    uint64
	BytesIn       uint64
	BytesOut      uint64
	Writes        uint64 // write calls
	Skipped       uint64 // incoming stanzas over a limit or with forbidden content
	Dropped       uint64 // the read loop's own replies that found no room
	GuardRefusals uint64 // stanzas of ours the guard kept back
	StrayAnswers  uint64 // IQ answers nobody asked for
	IQTimeouts    uint64
	QueueBytes    uint64 // waiting in the writer

	Sessions        uint64
	Links           map[string]uint64 // by state: connecting, online, …
	Rooms           uint64
	InboxRefusals   uint64            // stanzas refused because a session's inbox was full
	Restarts        uint64            // sessions restarted after a panic
	LinesCut        uint64            // lines given up while the stream was down
	LinesUnrecorded uint64            // lines shown that the archive could not take
	ToNetwork       uint64            // messages networks have taken
	ToUsers         uint64            // messages shown to users
	Errors          map[string]uint64 // stanza errors sent, by condition
	LinkErrors      map[string]uint64 // links that ended, by kind of error
}

// Metrics is the set of everything that is exported. Its methods are safe for
// concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	store    *prometheus.HistogramVec

	mu       sync.Mutex
	gateways []source
}

type source struct {
	name  string
	stats func() GatewayStats
}

// figure is one exported series of a gateway.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*GatewayStats) uint64
}

// family is an exported series with one more label.
type family struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	values func(*GatewayStats) map[string]uint64
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("transportd_"+name, help, append([]string{"gateway"}, labels...), nil)
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// figures and families are everything a gateway exports; docs/operations.md has
// the same list, which a test compares.
var figures = []figure{
	{desc("stream_up", "Whether the stream to the XMPP server is up."), gauge, func(s *GatewayStats) uint64 { return one(s.StreamUp) }},
	{desc("stream_connects_total", "Streams made, the first included."), counter, func(s *GatewayStats) uint64 { return s.Connects }},
	{desc("stream_failures_total", "Attempts to make a stream that failed."), counter, func(s *GatewayStats) uint64 { return s.Failures }},
	{desc("stanzas_received_total", "Stanzas from the XMPP server."), counter, func(s *GatewayStats) uint64 { return s.StanzasIn }},
	{desc("stanzas_sent_total", "Stanzas to the XMPP server."), counter, func(s *GatewayStats) uint64 { return s.StanzasOut }},
	{desc("received_bytes_total", "Bytes from the XMPP server."), counter, func(s *GatewayStats) uint64 { return s.BytesIn }},
	{desc("sent_bytes_total", "Bytes to the XMPP server."), counter, func(s *GatewayStats) uint64 { return s.BytesOut }},
	{desc("stream_writes_total", "Write calls; several stanzas share one."), counter, func(s *GatewayStats) uint64 { return s.Writes }},
	{desc("stanzas_skipped_total", "Incoming stanzas over a limit or with forbidden content."), counter, func(s *GatewayStats) uint64 { return s.Skipped }},
	{desc("stanzas_dropped_total", "Replies of the read loop that found the queue full."), counter, func(s *GatewayStats) uint64 { return s.Dropped }},
	{desc("guard_refusals_total", "Outgoing stanzas the guard kept from the server."), counter, func(s *GatewayStats) uint64 { return s.GuardRefusals }},
	{desc("stray_answers_total", "IQ answers nobody had asked for, forged ones included."), counter, func(s *GatewayStats) uint64 { return s.StrayAnswers }},
	{desc("iq_timeouts_total", "Requests of ours that nobody answered in time."), counter, func(s *GatewayStats) uint64 { return s.IQTimeouts }},
	{desc("queue_bytes", "Bytes waiting to be written to the XMPP server."), gauge, func(s *GatewayStats) uint64 { return s.QueueBytes }},
	{desc("sessions", "Users with a session."), gauge, func(s *GatewayStats) uint64 { return s.Sessions }},
	{desc("rooms", "Rooms users are in, counted per user."), gauge, func(s *GatewayStats) uint64 { return s.Rooms }},
	{desc("inbox_refusals_total", "Stanzas refused because an inbox was full."), counter, func(s *GatewayStats) uint64 { return s.InboxRefusals }},
	{desc("session_restarts_total", "Sessions restarted after a fault of the program."), counter, func(s *GatewayStats) uint64 { return s.Restarts }},
	{desc("lines_cut_total", "Lines given up while the stream was down."), counter, func(s *GatewayStats) uint64 { return s.LinesCut }},
	{desc("lines_unrecorded_total", "Lines shown that the archive could not take."), counter, func(s *GatewayStats) uint64 { return s.LinesUnrecorded }},
	{desc("messages_to_network_total", "Messages networks have taken."), counter, func(s *GatewayStats) uint64 { return s.ToNetwork }},
	{desc("messages_to_users_total", "Messages shown to users."), counter, func(s *GatewayStats) uint64 { return s.ToUsers }},
}

var families = []family{
	{desc("links", "Links of users to networks.", "state"), gauge, func(s *GatewayStats) map[string]uint64 { return s.Links }},
	{desc("errors_total", "Stanza errors sent.", "condition"), counter, func(s *GatewayStats) map[string]uint64 { return s.Errors }},
	{desc("link_errors_total", "Links that ended with an error.", "kind"), counter, func(s *GatewayStats) map[string]uint64 { return s.LinkErrors }},
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// NewMetrics makes an empty set with the figures of the process itself.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.store = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "transportd_store_seconds",
		Help:    "How long operations of the store take, waiting included.",
		Buckets: []float64{0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5},
	}, []string{"op"})
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "transportd_info", Help: "Always 1; the version is a label.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	m.registry.MustRegister(m.store, info, m,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// AddGateway exports what stats returns under the gateway's name. stats is
// called at each scrape, from the scrape's goroutine, and must not block.
func (m *Metrics) AddGateway(name string, stats func() GatewayStats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gateways = append(m.gateways, source{name, stats})
}

// Gauge exports one present number that belongs to no gateway. The name is
// without the prefix; f must not block.
func (m *Metrics) Gauge(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "transportd_" + name, Help: help}, f))
}

// Counter exports one more count, which f reads at a scrape.
func (m *Metrics) Counter(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "transportd_" + name, Help: help}, f))
}

// ObserveStore notes how long an operation of the store took; it is
// store.Options.Observe.
func (m *Metrics) ObserveStore(op string, took time.Duration) {
	m.store.WithLabelValues(op).Observe(took.Seconds())
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range figures {
		ch <- f.desc
	}
	for _, f := range families {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	gateways := m.gateways
	m.mu.Unlock()
	for _, g := range gateways {
		s := g.stats()
		for _, f := range figures {
			ch <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(f.value(&s)), g.name)
		}
		for _, f := range families {
			for label, n := range f.values(&s) {
				ch <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(n), g.name, label)
			}
		}
	}
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
