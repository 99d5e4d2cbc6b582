package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// options are the flags.
type options struct {
	addr, issuer, profile string
	certFile              string
	db, scenario          string
	seed                  uint64
	users                 []testserver.User
	clients               []testserver.Client
	access, idle          time.Duration
	absolute              time.Duration
	grace                 time.Duration
	graceGiven            bool
	maxRefreshes          int
	tls, report, verbose  bool
	unsafeListen          bool
	controlKey            string
	healthcheck           string // ask a running server instead of being one
	behaviour
}

// parse reads the arguments. What is wrong with a flag is said on stderr by
// package flag; what is wrong with their combination is the error.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("authtestd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:9400", "`address` to listen on; port 0 picks a free one")
	flags.StringVar(&o.issuer, "issuer", "auto", "base `URL` of the server as clients see it; auto: made from the address")
	flags.StringVar(&o.profile, "profile", "strict", "`name` of the kind of server to be")
	flags.Func("user", "`name:password` of someone who can sign in; may be repeated (default alice:secret)", func(s string) error {
		return appendTo(&o.users, s, parseUser)
	})
	flags.Func("client", "`id:public[:redirect]` or id:secret[:redirect] of an OAuth client; may be repeated, with one id for more redirect URIs (default cli:public and service:service-secret)", o.addClient)
	lifetime(flags, &o.access, "access-ttl", "life of an access token, such as 10s (default 15m)")
	lifetime(flags, &o.idle, "idle", "a refresh token unused for so long is dead (default 7d)")
	lifetime(flags, &o.absolute, "absolute", "hard end of a session, which no rotation moves (default 7d)")
	flags.Func("grace", "how long a retired refresh token is still answered, on a profile that answers it (default: as the profile)", func(s string) (err error) {
		o.graceGiven = true
		o.grace, err = parseDuration(s)
		return err
	})
	flags.IntVar(&o.maxRefreshes, "max-refreshes", 0, "a session ends at the refresh after these `n`; 0: no limit")
	flags.StringVar(&o.db, "db", "", "keep the state in sqlite:FILE or postgres:`DSN`, where a restart and a second process find it; in memory unless given")
	flags.StringVar(&o.scenario, "scenario", "", "`file` of JSON with the faults, scripts, gates and clock to begin with")
	flags.Uint64Var(&o.seed, "seed", 0, "of the `number`s that faults by chance draw")
	flags.BoolVar(&o.tls, "tls", false, "serve HTTPS and HTTP/2 under a certificate made for this run")
	flags.StringVar(&o.certFile, "cert-file", "", "where -tls writes its certificate, for clients to trust; a temporary `file` unless given")
	flags.BoolVar(&o.report, "report", false, "at the end, print what clients did wrong, and exit with status 1 if they did")
	flags.BoolVar(&o.verbose, "v", false, "log every request, without tokens")
	flags.BoolVar(&o.unsafeListen, "unsafe-listen", false, "allow an address that others can reach")
	flags.StringVar(&o.controlKey, "control-key", "", "`key` that others need for the control plane and the dashboard; drawn unless given")
	flags.StringVar(&o.healthcheck, "healthcheck", "", "ask the server at this `URL` whether it is alive, and exit with status 0 if it is")
	o.behaviour.flags(flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return options{}, err
		}
		return options{}, errors.New("authtestd: try -help")
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("authtestd: unexpected argument %q", flags.Arg(0))
	}
	return o, o.check()
}

func (o *options) check() error {
	host, _, err := net.SplitHostPort(o.addr)
	if err != nil {
		return fmt.Errorf("authtestd: -addr: %w", err)
	}
	if !o.unsafeListen && !loopback(host) {
		return fmt.Errorf("authtestd: %s can be reached by others; -unsafe-listen allows it", o.addr)
	}
	if o.certFile != "" && !o.tls {
		return errors.New("authtestd: -cert-file needs -tls")
	}
	return nil
}

// anyLoopback stands for every path and port of a loopback address.
const anyLoopback = "http://127.0.0.1/*"

// loopback reports whether nobody else can reach a listener on host.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func appendTo[T any](list *[]T, s string, parse func(string) (T, error)) error {
	v, err := parse(s)
	if err == nil {
		*list = append(*list, v)
	}
	return err
}

func parseUser(s string) (testserver.User, error) {
	name, password, ok := strings.Cut(s, ":")
	if !ok || name == "" || password == "" {
		return testserver.User{}, errors.New("want name:password")
	}
	return testserver.User{Name: name, Password: password}, nil
}

// addClient reads one -client. An id that was given before gets another
// redirect URI.
func (o *options) addClient(s string) error {
	id, rest, _ := strings.Cut(s, ":")
	secret, redirect, _ := strings.Cut(rest, ":")
	if id == "" || secret == "" {
		return errors.New("want id:public or id:secret, and perhaps :redirect")
	}
	if secret == "public" {
		secret = ""
	}
	i := slices.IndexFunc(o.clients, func(c testserver.Client) bool { return c.ID == id })
	if i < 0 {
		i = len(o.clients)
		o.clients = append(o.clients, testserver.Client{ID: id, Secret: secret})
	} else if o.clients[i].Secret != secret || redirect == "" {
		return errors.New("this client was given before; once more adds a redirect URI")
	}
	// Any path on loopback is what the server allows a client without any.
	if redirect != "" && redirect != anyLoopback {
		o.clients[i].RedirectURIs = append(o.clients[i].RedirectURIs, redirect)
	}
	return nil
}

func lifetime(flags *flag.FlagSet, d *time.Duration, name, usage string) {
	flags.Func(name, "`duration`: "+usage, func(s string) (err error) {
		*d, err = parseDuration(s)
		return err
	})
}

// parseDuration is time.ParseDuration with days, which sessions are counted
// in: "7d".
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 36500 {
			return 0, errors.New("want a number of days, such as 7d")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(s)
}
