package testserver_test

import (
	"fmt"
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// A retired token comes back five seconds after it was rotated away.
func ExampleDecide() {
	now := time.Now()
	token := testserver.Presented{
		Known: true, Expires: now.Add(time.Hour), Absolute: now.Add(time.Hour),
		Retired: true, RetiredAt: now.Add(-5 * time.Second),
	}
	strict := testserver.Policy{}
	grace := testserver.Policy{Replay: testserver.Replay{Mode: testserver.Same, Window: 10 * time.Second}}
	fmt.Println(testserver.Decide(strict, token, now))
	fmt.Println(testserver.Decide(grace, token, now))
	// Output:
	// reuse_detected
	// replayed_same
}
