//go:build (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package keyringstore

import (
	"github.com/godbus/dbus/v5"
	"github.com/zalando/go-keyring"
	"github.com/zalando/go-keyring/secret_service"
)

// readAll does what go-keyring's Get does, and does not stop at the first item
// found. An item with further attributes matches as well (other programs add
// some of their own), which of two comes first can change whenever the service
// is restarted, and an old copy taken for the entry would be an old refresh
// token presented.
func readAll(service, user string) ([]string, error) {
	svc, err := ss.NewSecretService()
	if err != nil {
		return nil, err
	}
	collection := svc.GetLoginCollection()
	if err := svc.Unlock(collection.Path()); err != nil {
		return nil, err
	}
	items, err := svc.SearchItems(collection, map[string]string{"username": user, "service": service})
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, keyring.ErrNotFound
	}
	session, err := svc.OpenSession()
	if err != nil {
		return nil, err
	}
	defer func() { _ = svc.Close(session) }()
	var texts []string
	for _, item := range items {
		if err := svc.Unlock(item); err != nil {
			return nil, err
		}
		secret, err := svc.GetSecret(item, session.Path())
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(secret.Value))
	}
	return texts, nil
}

// watched runs a call of go-keyring and tells whether a prompt was answered
// during it.
func watched(call func() error) (prompted bool, err error) {
	conn, err := dbus.SessionBus() // the one that go-keyring uses
	if err != nil {
		return false, err
	}
	// Registered before go-keyring's own, so it has each answer no later.
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	defer conn.RemoveSignal(signals)
	err = call()
	for {
		select {
		case signal := <-signals:
			if signal == nil { // the connection broke
				return prompted, err
			}
			prompted = prompted || signal.Name == promptCompleted
		default:
			return prompted, err
		}
	}
}
