package acceptance_test

import (
	"strings"
	"time"
)

// introduction is the beginning of the document; the numbers are those of the
// cells that are run and of those that are impossible.
const introduction = `# The acceptance matrix

Every kind of server that ` + "`authtest`" + ` can be, over every transport, in one
process and in four, under every fault: %d cells that are run and %d that are
impossible. This page is written by the run, and the test fails when it is stale:

` + "```" + `
sh scripts/secret-service.sh go test ./internal/acceptance               # compare
sh scripts/secret-service.sh go test ./internal/acceptance -args -update # write
` + "```" + `

A cell is one session. Its login was a quarter of an hour ago and its access
token is over. 64 requests come at once, from 64 goroutines of one process or
from 16 in each of four, and the token request that they cause meets the fault.
Another quarter of an hour later a few more requests show whether the session
still lives. The client is the real one: ` + "`client.Client`" + ` with the Provider, the
Rotation and the Reasons that a user of that server would set; the ` + "`firstparty`" + `
profiles and ` + "`supabase`" + ` are spoken to in JSON. The cookie dialect is not in the
matrix, because pawl does not speak it.

What a cell must come to was worked out before it was run, from what the server
does with a refresh token that comes back (` + "`internal/acceptance/expect_test.go`" + `).
No cell may come to "lost though recoverable" or to "storm".

Token requests are HTTP/1.1 on a fresh connection whatever the transport, so
that nothing below pawl can repeat them. The transport decides how the API is
spoken to, and how the token endpoint is reached: in memory, by TCP or by TLS.

What hangs does so until the client gives up, after 30 s or a third of the grace
that it knows; over sockets in one process for 3 s, and then the connection
ends.

Over sockets the server's clock stands still while the fault happens and moves a
quarter of an hour after it, which the client's does not: so the second wave
begins with a 401 there, and before it in memory. All finite graces are 30 s
there (12 s under kill -9), to leave a busy machine its time; in memory they
are what the servers have. A cell over sockets that missed its expectation, and
took 10 s longer than its fault explains or met a keyring that did not answer in
time, is played again, twice at most: the machine was too busy.

`

// plain is a duration as people write it.
func plain(d time.Duration) string {
	return strings.NewReplacer("m0s", " min", "s", " s").Replace(d.String())
}
