package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// healthTime is how long a server that is alive may take to say so.
const healthTime = 5 * time.Second

// askHealth asks a running server. A container has no other program to do so.
func askHealth(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	if o.certFile != "" {
		encoded, err := os.ReadFile(o.certFile)
		if err != nil {
			return fmt.Errorf("authtestd: -healthcheck: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(encoded) {
			return errors.New("authtestd: -healthcheck: the file of -cert-file holds no certificate")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(o.healthcheck, "/")+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("authtestd: -healthcheck: %w", err)
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("authtestd: -healthcheck: %w", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("authtestd: -healthcheck: the server answered %d", res.StatusCode)
	}
	return nil
}
