package repotest_test

import (
	"testing"

	"github.com/seed-9a12f4e2/pawl/internal/repotest"
)

func TestEveryPackageHasOnePackageComment(t *testing.T) {
	silent(t, repotest.PackageDocs(theTree(t)))
}

// withoutExample lists public packages that need no example.
var withoutExample = map[string]string{
	".":     "holds no code",
	"bench": "measures and offers nothing",
}

func TestEveryPublicPackageHasAnExample(t *testing.T) {
	silent(t, repotest.Examples(theTree(t), withoutExample))
}

func TestEveryExportedNameHasAComment(t *testing.T) {
	silent(t, repotest.ExportedDocs(theTree(t)))
}
