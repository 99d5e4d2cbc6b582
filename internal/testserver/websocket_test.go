package testserver_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// What a client sends as a frame either is one, and comes back as one of the
// same payload, or closes the connection. It never costs more memory than a
// frame may have.
func FuzzFrame(f *testing.F) {
	for _, seed := range [][]byte{
		{}, {0x81, 0x80, 1, 2, 3, 4}, {0x81, 0x85, 1, 2, 3, 4, 'h', 'e', 'l', 'l', 'o'}, {0x81, 1, 'x'},
		{0x82, 0xFE, 0, 126, 0, 0, 0, 0}, {0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, {0x89, 0x80, 0, 0, 0, 0},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		payload, echo, code := testserver.EchoFrame(bytes.NewReader(data))
		if code != 0 {
			assert.Contains(t, []int{1002, 1009}, code)
			return
		}
		assert.LessOrEqual(t, len(payload), 1<<16-1)
		assert.True(t, bytes.HasSuffix(echo, payload))
		assert.LessOrEqual(t, len(echo)-len(payload), 4)
		assert.Zero(t, echo[1]&0x80, "a server does not mask: RFC 6455 5.1")
	})
}
