package client

import (
	"net/http"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// ConnectBudget is what a request has until its body is read.
const ConnectBudget = connectBudget

// ReadAnswer reads an answer as a Refresh of p does that has sent these.
func ReadAnswer(p *Provider, status int, header http.Header, body []byte, sent ...tokensource.Secret) (tokensource.Grant, error) {
	a := readAnswer(status, header, body, time.Now())
	if g, ok := p.dialect.members().grant(a); ok {
		return g, nil
	}
	return tokensource.Grant{}, p.verdict.judge(a, newScrubber(sent))
}
