//go:build (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package keyringstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"

	"github.com/godbus/dbus/v5"
)

const (
	secretsName       = "org.freedesktop.secrets"
	secretsPath       = dbus.ObjectPath("/org/freedesktop/secrets")
	loginCollection   = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	serviceInterface  = "org.freedesktop.Secret.Service"
	collectionLocked  = "org.freedesktop.Secret.Collection.Locked"
	serviceUnknown    = "org.freedesktop.DBus.Error.ServiceUnknown"
	noOwner           = "org.freedesktop.DBus.Error.NameHasNoOwner"
	serviceOfTheBus   = "org.freedesktop.DBus"
	runtimeBusPattern = "/run/user/%s/bus"
)

// preflight asks the bus, over a connection of its own, what go-keyring would
// run into, because go-keyring itself does not ask: without a bus it starts
// one and leaves it behind, with a locked keyring it prompts, and it waits for
// either for ever. Nothing here prompts, and no call starts a service.
func preflight(ctx context.Context, mayPrompt bool) error {
	address, err := busAddress()
	if err != nil {
		return err
	}
	err = askBus(ctx, address, mayPrompt)
	if err != nil && ctx.Err() != nil {
		return left(ctx) // whatever broke when the context closed the connection
	}
	return err
}

// busAddress is where go-keyring will find a bus without starting one.
func busAddress() (string, error) {
	if a := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" && a != "autolaunch:" {
		return a, nil
	}
	path := fmt.Sprintf(runtimeBusPattern, strconv.Itoa(os.Getuid()))
	if _, err := os.Stat(path); err != nil {
		return "", ErrNoBus
	}
	return "unix:path=" + dbus.EscapeBusAddressValue(path), nil
}

func askBus(ctx context.Context, address string, mayPrompt bool) error {
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("%w: connecting: %w", ErrNoBus, err)
	}
	defer func() { _ = conn.Close() }()

	var owned bool
	bus := conn.BusObject()
	err = bus.CallWithContext(ctx, serviceOfTheBus+".NameHasOwner", dbus.FlagNoAutoStart, secretsName).Store(&owned)
	if err != nil {
		return fmt.Errorf("%w: asking for the service: %w", ErrNoBus, err)
	}
	if !owned {
		return notRunning(ctx, bus, mayPrompt)
	}
	collection, err := defaultCollection(ctx, conn)
	if err != nil {
		return err
	}
	locked, err := property[bool](ctx, conn.Object(secretsName, collection), collectionLocked)
	if err != nil {
		return fmt.Errorf("%w: asking for the lock: %w", causeOf(err), err)
	}
	if locked && !mayPrompt {
		return ErrLocked
	}
	return nil
}

// notRunning lets a service be started by go-keyring's first call only where
// the password that it will ask for can be given.
func notRunning(ctx context.Context, bus dbus.BusObject, mayPrompt bool) error {
	var names []string
	err := bus.CallWithContext(ctx, serviceOfTheBus+".ListActivatableNames", dbus.FlagNoAutoStart).Store(&names)
	if err == nil && slices.Contains(names, secretsName) {
		if mayPrompt {
			return nil
		}
		return fmt.Errorf("%w, although one could be started", ErrNoService)
	}
	return ErrNoService
}

// defaultCollection chooses as go-keyring does: the login collection if there
// is one, else the default one.
func defaultCollection(ctx context.Context, conn *dbus.Conn) (dbus.ObjectPath, error) {
	service := conn.Object(secretsName, secretsPath)
	all, err := property[[]dbus.ObjectPath](ctx, service, serviceInterface+".Collections")
	if err != nil {
		return "", fmt.Errorf("%w: asking for its keyrings: %w", causeOf(err), err)
	}
	if slices.Contains(all, loginCollection) {
		return loginCollection, nil
	}
	var path dbus.ObjectPath
	err = service.CallWithContext(ctx, serviceInterface+".ReadAlias", dbus.FlagNoAutoStart, "default").Store(&path)
	if err != nil {
		return "", fmt.Errorf("%w: asking for its default keyring: %w", causeOf(err), err)
	}
	if path == "/" {
		return "", ErrNoCollection
	}
	return path, nil
}

func property[T any](ctx context.Context, object dbus.BusObject, name string) (T, error) {
	var value T
	dot := len(name) - 1
	for name[dot] != '.' {
		dot--
	}
	var v dbus.Variant
	err := object.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, name[:dot], name[dot+1:]).Store(&v)
	if err != nil {
		return value, err
	}
	return value, v.Store(&value)
}

// causeOf tells a bus or a service that is gone from other failures.
func causeOf(err error) error {
	if e, ok := errors.AsType[dbus.Error](err); ok && (e.Name == serviceUnknown || e.Name == noOwner) {
		return ErrNoService
	}
	_, network := errors.AsType[net.Error](err)
	if network || errors.Is(err, dbus.ErrClosed) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return ErrNoBus
	}
	return ErrFailed
}
