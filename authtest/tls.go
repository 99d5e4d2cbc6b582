package authtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"
)

// NewTLS is NewWith over TLS, with HTTP/2 and a certificate that
// [Server.Client] trusts. It asks each connection for a certificate and takes
// any, or none: see [Server.ClientWithCertificate].
func NewTLS(tb TB, cfg Config) *Server {
	tb.Helper()
	s, err := NewTLSServer(cfg.loggedTo(tb))
	return s.attach(tb, err)
}

// NewTLSServer is NewServer over TLS.
func NewTLSServer(cfg Config) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("authtest: listening on loopback: %w", err)
	}
	secure, err := newIdentity()
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	address := l.Addr().String()
	return serve(cfg, l, "https://"+address, dialTo(address), secure)
}

// identity is the certificate of a server. A nil one does without TLS.
type identity struct {
	certificate tls.Certificate
	roots       *x509.CertPool
}

func newIdentity() (*identity, error) {
	certificate, err := selfSigned("authtest")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	return &identity{certificate: certificate, roots: roots}, nil
}

// server asks for a certificate and leaves it to the client's registration
// whether it is the right one: RFC 8705 2.2 trusts no authority.
func (i *identity) server() *tls.Config {
	if i == nil {
		return nil
	}
	return &tls.Config{
		Certificates: []tls.Certificate{i.certificate}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
	}
}

func (i *identity) client() *tls.Config {
	if i == nil {
		return nil
	}
	return &tls.Config{RootCAs: i.roots, MinVersion: tls.VersionTLS12}
}

// Certificate is that of the server, for programs that bring their own
// transport; nil without TLS.
func (s *Server) Certificate() *x509.Certificate {
	if s.identity == nil {
		return nil
	}
	return s.identity.certificate.Leaf
}

// ClientWithCertificate returns a client of the server that shows a
// certificate, as mTLS needs it. Its connections are its own: close them with
// CloseIdleConnections. Without TLS it is fatal.
func (s *Server) ClientWithCertificate(certificate tls.Certificate) *http.Client {
	if s.identity == nil {
		s.fatal("authtest: a client certificate needs NewTLS")
		return nil
	}
	t := s.client.Transport.(*http.Transport).Clone()
	t.TLSClientConfig.Certificates = []tls.Certificate{certificate}
	return &http.Client{Transport: t}
}

// NewCertificate makes a self-signed certificate for a client.
func NewCertificate(name string) (tls.Certificate, error) { return selfSigned(name) }

// Thumbprint is the x5t#S256 of a certificate (RFC 8705 3.1), for
// Client.Certificate.
func Thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// selfSigned covers every time that a test's clock may show.
func selfSigned(name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("authtest: making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		DNSNames:    []string{"localhost", "example.com", "*.example.com"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("authtest: making a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("authtest: reading a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
