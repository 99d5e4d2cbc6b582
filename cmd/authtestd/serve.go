package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/seed-9a12f4e2/pawl/cmd/authtestd/internal/drivers"
	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// closeTime is how long requests may take to end once the server has to.
const closeTime = 5 * time.Second

// daemon is a server with its listener.
type daemon struct {
	inner    *testserver.Server
	http     *http.Server
	listener net.Listener
	silent   sync.Map    // connections on which nothing was asked yet
	env      [][2]string // what the ready lines say
	cleanup  []func()    // run at the end, last first
}

// start makes everything ready to serve.
func start(ctx context.Context, o options, stderr io.Writer) (*daemon, error) {
	d := &daemon{}
	if err := d.prepare(ctx, o, newLog(stderr, o.verbose)); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// prepare listens first, because the issuer depends on the port.
func (d *daemon) prepare(ctx context.Context, o options, log *slog.Logger) (err error) {
	d.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", o.addr)
	if err != nil {
		return fmt.Errorf("authtestd: listening: %w", err)
	}
	d.onClose(func() { _ = d.listener.Close() })
	issuer := o.issuer
	if issuer == "auto" {
		issuer = autoIssuer(d.listener.Addr(), o.tls)
	}
	if err := d.build(ctx, o, issuer, log); err != nil {
		return err
	}
	d.http = &http.Server{
		Handler: d.inner.Handler(), ReadHeaderTimeout: time.Minute,
		ErrorLog:  slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnState: d.note,
	}
	if o.tls {
		if err := d.useTLS(o, issuer); err != nil {
			return err
		}
	}
	d.tell("AUTHTEST_URL", issuer)
	d.tell("AUTHTEST_TOKEN_URL", issuer+"/oauth/token")
	d.tell("AUTHTEST_ADDR", d.listener.Addr().String()) // not the same where -issuer was given
	d.tell("AUTHTEST_PID", strconv.Itoa(os.Getpid()))
	return nil
}

func newLog(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// autoIssuer names the server by its address. A wildcard address is no name:
// loopback reaches it, too.
func autoIssuer(addr net.Addr, secure bool) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err != nil || ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// build makes the server that the flags describe.
func (d *daemon) build(ctx context.Context, o options, issuer string, log *slog.Logger) error {
	profile, err := o.serverProfile()
	if err != nil {
		return err
	}
	store, err := d.open(ctx, o.db)
	if err != nil {
		return fmt.Errorf("authtestd: -db: %w", err)
	}
	cfg := testserver.Config{
		Issuer: issuer, Profile: profile, Log: log, Users: o.users, Clients: o.clients, Store: store, Seed: o.seed,
		AccessTTL: o.access, IdleTTL: o.idle, AbsoluteTTL: o.absolute, MaxRefreshes: o.maxRefreshes,
		ControlKey: d.key(o),
	}
	o.behaviour.apply(&cfg)
	if d.inner, err = testserver.New(cfg); err != nil {
		return fmt.Errorf("authtestd: %w", err)
	}
	d.onClose(d.inner.Close)
	if err := d.addIssuers(o.issuers, cfg); err != nil {
		return err
	}
	return d.begin(o.scenario)
}

// addIssuers adds what -extra-issuer names: servers like the first one, but
// for their profile.
func (d *daemon) addIssuers(list []extraIssuer, cfg testserver.Config) error {
	for _, extra := range list {
		cfg := cfg
		if extra.profile != "" {
			profile, err := testserver.ProfileNamed(extra.profile)
			if err != nil {
				return fmt.Errorf("authtestd: -extra-issuer: %w", err)
			}
			cfg.Profile = profile
		}
		if _, err := d.inner.Issuer(extra.name, cfg); err != nil {
			return fmt.Errorf("authtestd: -extra-issuer: %w", err)
		}
	}
	return nil
}

// serverProfile is the one that was asked for, with its window.
func (o options) serverProfile() (testserver.Profile, error) {
	profile, err := testserver.ProfileNamed(o.profile)
	if err != nil {
		return profile, fmt.Errorf("authtestd: %w", err)
	}
	if o.graceGiven {
		if profile.Replay.Mode == testserver.Strict && o.grace != 0 {
			return profile, fmt.Errorf("authtestd: profile %s forgives nothing, so -grace has no meaning; try -profile grace", o.profile)
		}
		profile.Replay.Window = o.grace
	}
	return profile, nil
}

// open opens the database; without one the state is in memory.
func (d *daemon) open(ctx context.Context, name string) (testserver.Store, error) {
	if name == "" {
		return nil, nil
	}
	db, dialect, err := drivers.Open(name)
	if err != nil {
		return nil, err
	}
	d.onClose(func() { _ = db.Close() })
	return testserver.OpenSQL(ctx, db, dialect)
}

// key is the one of the control plane. Where nobody else can reach the server
// there is none unless it was given. It is told to whoever started the server.
func (d *daemon) key(o options) string {
	host, _, err := net.SplitHostPort(o.addr)
	if o.controlKey == "" && err == nil && loopback(host) {
		return ""
	}
	key := cmp.Or(o.controlKey, rand.Text())
	d.tell("AUTHTEST_KEY", key)
	return key
}

// begin puts a scenario in force.
func (d *daemon) begin(file string) error {
	if file == "" {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("authtestd: -scenario: %w", err)
	}
	defer f.Close()
	scenario, err := testserver.ReadScenario(f)
	if err == nil {
		err = d.inner.Apply(scenario)
	}
	if err != nil {
		return fmt.Errorf("authtestd: -scenario %s: %w", file, err)
	}
	return nil
}

// useTLS makes the certificate and writes it where clients find it.
func (d *daemon) useTLS(o options, issuer string) error {
	host, _, _ := net.SplitHostPort(d.listener.Addr().String())
	cert, encoded, err := selfSigned(issuer, host)
	if err != nil {
		return err
	}
	name, remove, err := writeCert(o.certFile, encoded)
	if err != nil {
		return fmt.Errorf("authtestd: writing the certificate: %w", err)
	}
	d.onClose(remove)
	d.http.TLSConfig = &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequestClientCert, // self-signed ones, too: RFC 8705 2.2
	}
	d.tell("AUTHTEST_CA", name)
	return nil
}

// writeCert keeps a file that was asked for by name, and removes its own.
func writeCert(name string, encoded []byte) (string, func(), error) {
	if name != "" {
		return name, func() {}, os.WriteFile(name, encoded, 0o644)
	}
	f, err := os.CreateTemp("", "authtestd-*.pem")
	if err != nil {
		return "", nil, fmt.Errorf("%w (-cert-file names another place)", err)
	}
	_, err = f.Write(encoded)
	return f.Name(), func() { _ = os.Remove(f.Name()) }, errors.Join(err, f.Close())
}

func (d *daemon) tell(name, value string) { d.env = append(d.env, [2]string{name, value}) }

// announce prints the ready lines. AUTHTEST_PID is the last of them.
func (d *daemon) announce(w io.Writer) {
	for _, v := range d.env {
		fmt.Fprintf(w, "export %s=%s\n", v[0], quote(v[1]))
	}
}

// serve returns when ctx has ended and every request is done, or when the
// listener fails.
func (d *daemon) serve(ctx context.Context) error {
	defer d.close()
	ended := make(chan error, 1)
	listener := d.inner.Listener(d.listener) // some faults are those of a connection
	go func() {
		if d.http.TLSConfig != nil {
			ended <- d.http.ServeTLS(listener, "", "")
		} else {
			ended <- d.http.Serve(listener)
		}
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("authtestd: serving: %w", err)
	case <-ctx.Done():
	}
	d.shutdown(context.WithoutCancel(ctx))
	<-ended
	return nil
}

// shutdown lets running requests finish. Those that wait at a gate or in a
// delay are aborted first: nobody could release them any more.
func (d *daemon) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	d.inner.Stop()
	_ = d.listener.Close()
	d.silent.Range(func(conn, _ any) bool {
		_ = conn.(net.Conn).Close()
		return true
	})
	if d.http.Shutdown(ctx) != nil {
		_ = d.http.Close()
	}
}

// note keeps the connections that browsers open in advance: Shutdown would
// wait for their first request.
func (d *daemon) note(conn net.Conn, state http.ConnState) {
	if state == http.StateNew {
		d.silent.Store(conn, nil)
	} else {
		d.silent.Delete(conn)
	}
}

func (d *daemon) onClose(f func()) { d.cleanup = append(d.cleanup, f) }

func (d *daemon) close() {
	for i := len(d.cleanup) - 1; i >= 0; i-- {
		d.cleanup[i]()
	}
	d.cleanup = nil
}
