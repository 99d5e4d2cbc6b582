package keyringstore_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// assertHidden prints v in every way and looks for the secret, in clear and as
// the numbers that fmt prints bytes as.
func assertHidden(t *testing.T, v any, secret string) {
	t.Helper()
	numbers := fmt.Sprint([]byte(secret))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		text := fmt.Sprintf(verb, v)
		assert.NotContains(t, text, secret, verb)
		assert.NotContains(t, text, numbers[1:len(numbers)-1], verb)
		assert.NotContains(t, text, fmt.Sprintf("%x", secret), verb)
	}
	if text, err := json.Marshal(v); err == nil {
		assert.NotContains(t, string(text), secret)
	}
}
