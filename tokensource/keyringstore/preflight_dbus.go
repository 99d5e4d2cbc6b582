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
	promptCompleted   = "org.freedesktop.Secret.Prompt.Completed"
	serviceUnknown    = "org.freedesktop.DBus.Error.ServiceUnknown"
	noOwner           = "org.freedesktop.DBus.Error.NameHasNoOwner"
	noReply           = "org.freedesktop.DBus.Error.NoReply"
	serviceOfTheBus   = "org.freedesktop.DBus"
	runtimeBusPattern = "/run/user/%s/bus"
)

// preflight asks the bus, over a connection of its own, what go-keyring would
// run into, because go-keyring itself does not ask: without a bus it starts
// one and leaves it behind, with a locked keyring it prompts, and it waits for
// either for ever. Nothing here prompts, and no call starts a service. The end
// of ctx closes the connection, and so ends whatever waits.
func preflight(ctx context.Context) error {
	address, err := busAddress()
	if err != nil {
		return err
	}
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return unanswered(ctx, StateBusHung, &StateError{State: StateBusUnreachable, Err: err})
	}
	defer func() { _ = conn.Close() }()
	if err := findService(ctx, conn.BusObject()); err != nil {
		return unanswered(ctx, StateBusHung, err)
	}
	return unanswered(ctx, StateServiceHung, findCollection(ctx, conn))
}

// unanswered returns err, unless it is the end of ctx that made it.
func unanswered(ctx context.Context, hung State, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return left(ctx, hung)
}

// busAddress is where go-keyring will find a bus without starting one.
func busAddress() (string, error) {
	if a := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" && a != "autolaunch:" {
		return a, nil
	}
	path := fmt.Sprintf(runtimeBusPattern, strconv.Itoa(os.Getuid()))
	if _, err := os.Stat(path); err != nil {
		return "", &StateError{State: StateNoBus}
	}
	return "unix:path=" + dbus.EscapeBusAddressValue(path), nil
}

// findService looks for a secret service without starting one.
func findService(ctx context.Context, bus dbus.BusObject) error {
	var owned bool
	err := bus.CallWithContext(ctx, serviceOfTheBus+".NameHasOwner", dbus.FlagNoAutoStart, secretsName).Store(&owned)
	if err != nil {
		return &StateError{State: StateBusUnreachable, Err: fmt.Errorf("asking for the service: %w", err)}
	}
	if owned {
		return nil
	}
	var names []string
	err = bus.CallWithContext(ctx, serviceOfTheBus+".ListActivatableNames", dbus.FlagNoAutoStart).Store(&names)
	if err == nil && slices.Contains(names, secretsName) {
		return &StateError{State: StateActivatable}
	}
	return &StateError{State: StateNoService}
}

// findCollection looks for a keyring that is not locked.
func findCollection(ctx context.Context, conn *dbus.Conn) error {
	collection, err := defaultCollection(ctx, conn)
	if err != nil {
		return err
	}
	locked, err := property[bool](ctx, conn.Object(secretsName, collection), collectionLocked)
	if err != nil {
		return causeOf(fmt.Errorf("asking for the lock: %w", err))
	}
	if locked {
		return &StateError{State: StateLocked}
	}
	return nil
}

// defaultCollection chooses as go-keyring does: the login collection if there
// is one, else the default one.
func defaultCollection(ctx context.Context, conn *dbus.Conn) (dbus.ObjectPath, error) {
	service := conn.Object(secretsName, secretsPath)
	all, err := property[[]dbus.ObjectPath](ctx, service, serviceInterface+".Collections")
	if err != nil {
		return "", causeOf(fmt.Errorf("asking for its keyrings: %w", err))
	}
	if slices.Contains(all, loginCollection) {
		return loginCollection, nil
	}
	var path dbus.ObjectPath
	err = service.CallWithContext(ctx, serviceInterface+".ReadAlias", dbus.FlagNoAutoStart, "default").Store(&path)
	if err != nil {
		return "", causeOf(fmt.Errorf("asking for its default keyring: %w", err))
	}
	if path == "/" {
		return "", &StateError{State: StateNoCollection}
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
	if e, ok := errors.AsType[dbus.Error](err); ok && (e.Name == serviceUnknown || e.Name == noOwner || e.Name == noReply) {
		return &StateError{State: StateNoService, Err: err}
	}
	if errors.Is(err, exec.ErrNotFound) {
		return &StateError{State: StateNoBus, Err: err}
	}
	_, network := errors.AsType[net.Error](err)
	if network || errors.Is(err, dbus.ErrClosed) || errors.Is(err, fs.ErrNotExist) {
		return &StateError{State: StateBusUnreachable, Err: err}
	}
	return fmt.Errorf("%w: %w", ErrFailed, err)
}
