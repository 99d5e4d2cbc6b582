package testserver

import (
	"context"
	"fmt"
	"time"
)

// secrets are the keys of the refresh tokens. They are kept with the sessions,
// so that a restart and a second process over one store tell the same child of
// the same parent.
type secrets struct {
	Derive  []byte `json:"derive"`  // derives a child refresh token from its parent
	Refresh []byte `json:"refresh"` // signs refresh tokens in JWT form
}

const (
	kindSecrets = "secrets"
	secretsID   = "refresh"
)

// loadSecrets makes them if they are not there. Of any number of processes
// that start at once, one makes them for all.
func loadSecrets(ctx context.Context, docs documents, now time.Time) (secrets, error) {
	fresh := secrets{Derive: random(32), Refresh: random(32)}
	if _, err := putDocument(ctx, docs, now, kindSecrets, secretsID, fresh, time.Time{}); err != nil {
		return secrets{}, fmt.Errorf("testserver: keeping the secrets: %w", err)
	}
	kept, err := readDocument[secrets](ctx, docs, now, kindSecrets, secretsID)
	if err != nil {
		return secrets{}, fmt.Errorf("testserver: reading the secrets: %w", err)
	}
	return *kept, nil
}
