package repotest_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/repotest"
)

// canary is the secret that must not come out.
const canary = "canary-7f3e51c9-must-not-sing"

// holding lists the packages whose exported types are searched for places
// that can hold a secret; a type found there and not in cages is an error.
var holding = []string{"tokensource/...", "transport/...", "client/..."}

// seeds are the types in which secrets begin, and those that reach one through
// an interface, which the search does not look behind.
var seeds = []string{
	"tokensource.Secret", "tokensource.Token", "tokensource.Grant",
	"tokensource.Session", "tokensource.MemoryStore", "tokensource.Source", "tokensource.Refresher",
	"transport.Renewer", "client.Provider",
}

func TestNoTypeThatHoldsASecretShowsIt(t *testing.T) {
	for _, table := range cages {
		for name, cage := range table {
			t.Run(name, func(t *testing.T) {
				for _, v := range cage(t) {
					for how, text := range outputs(v) {
						if sings(text) {
							t.Errorf("%T by %s: %.300q", v, how, text)
						}
					}
				}
			})
		}
	}
}

func TestEveryExportedTypeThatCanHoldASecretIsFormatted(t *testing.T) {
	found := repotest.Holders(theTree(t), holding, seeds)
	require.Contains(t, found, "tokensource.Secret")
	for _, name := range found {
		if caged(name) == nil && holdsNone[name] == "" {
			t.Errorf("%s can hold a secret: put one into it in cages_test.go", name)
		}
	}
}

// box has the value in a field that fmt reaches without calling methods.
type box[T any] struct{ inner T }

// in returns v in everything that a program may print it inside of.
func in[T any](v T) []any {
	return []any{
		v, &v, box[T]{v}, &box[T]{v}, box[*T]{&v}, box[any]{v}, box[any]{&v},
		struct{ Field T }{v}, []T{v}, []*T{&v}, box[[]T]{[]T{v}}, [1]T{v},
		map[string]T{"key": v}, box[map[string]T]{map[string]T{"key": v}}, []any{v},
	}
}

// outputs returns what v looks like by every way of printing it.
func outputs(v any) map[string]string {
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10.40s"} {
		out[verb] = fmt.Sprintf(verb, v)
	}
	out["fmt.Sprint"] = fmt.Sprint(v)
	out["%w"] = fmt.Errorf("failed: %v", v).Error()

	var text, jsonText bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&jsonText, nil)} {
		slog.New(h).With("with", v).Info("message", "value", v, slog.Group("group", "value", v))
	}
	out["slog text"], out["slog JSON"] = text.String(), jsonText.String()

	// What a type refuses to do, or what it says then, is shown as well.
	marshaled, err := json.Marshal(v)
	out["JSON"] = string(marshaled) + fmt.Sprint(err)
	marshaled, err = xml.Marshal(v)
	out["XML"] = string(marshaled) + fmt.Sprint(err)
	var page bytes.Buffer
	err = template.Must(template.New("").Parse("{{.}} {{printf \"%v\" .}}")).Execute(&page, v)
	out["text/template"] = page.String() + fmt.Sprint(err)
	return out
}

// sings reports whether text shows the canary, plainly or as fmt shows bytes.
func sings(text string) bool {
	lower := strings.ToLower(text)
	return strings.Contains(lower, canary) ||
		strings.Contains(lower, hex.EncodeToString([]byte(canary))) ||
		strings.Contains(text, strings.Trim(fmt.Sprint([]byte(canary)), "[]")) ||
		strings.Contains(text, strings.Trim(strings.ReplaceAll(fmt.Sprintf("%#v", []byte(canary)), "[]byte", ""), "{}"))
}

func TestTheSearchHearsACanaryThatSings(t *testing.T) {
	type plain string
	for _, v := range []any{
		canary, plain(canary), []byte(canary), box[plain]{canary},
		// fmt follows a pointer once when the verb does not suit it, even where it
		// may call no method: see %s of a struct with a pointer in it.
		box[*box[plain]]{&box[plain]{canary}}, &box[[]byte]{[]byte(canary)},
		map[string]any{"key": plain(canary)}, struct{ Field *string }{new(canary)},
	} {
		heard := false
		for _, text := range outputs(v) {
			heard = heard || sings(text)
		}
		assert.True(t, heard, "%T", v)
	}
}
