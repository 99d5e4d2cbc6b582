package testserver_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// WCAG 2.2 1.4.3 asks for a ratio of 4.5 between text and what is behind it,
// 1.4.11 for 3 at the border of a field.
func TestTheColoursCanBeReadInLightAndDark(t *testing.T) {
	sheet := start(t, "strict", nil).get("/ui/style.css", "").Body.String()
	schemes := strings.SplitN(sheet, "prefers-color-scheme: dark", 2)
	require.Len(t, schemes, 2)
	for i, scheme := range schemes {
		colour := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(scheme, -1) {
			colour[m[1]] = m[2]
		}
		require.Len(t, colour, 14)
		for _, pair := range [][2]string{
			{"ink", "paper"}, {"ink", "card"}, {"ink", "field"}, {"soft", "paper"}, {"soft", "card"},
			{"accent", "paper"}, {"accent", "card"}, {"on-accent", "accent"}, {"bad", "paper"}, {"bad", "card"},
			{"bad", "bad-paper"}, {"good", "good-paper"}, {"warn", "warn-paper"},
		} {
			assert.GreaterOrEqual(t, contrast(t, colour[pair[0]], colour[pair[1]]), 4.5, "%s in scheme %d", pair, i)
		}
		assert.GreaterOrEqual(t, contrast(t, colour["soft"], colour["field"]), 3.0)
	}
}

// contrast is the ratio of WCAG 2.2.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, colour string) (sum float64) {
	t.Helper()
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		require.NoError(t, err)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
