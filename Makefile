# A thin door to scripts/, where the why is written down.
.PHONY: help demo test lint bench fuzz wine soak mutate

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## watch a session stay signed in, in a keyring of its own; ARGS="..." are its flags
	@sh scripts/secret-service.sh go run ./examples/demo $(ARGS)

test: ## test every module, with the race detector, a real keyring and a real database
	@sh scripts/secret-service.sh sh scripts/postgres.sh sh scripts/test.sh

lint: ## gofmt, vet, staticcheck, tidy modules, builds for other systems
	@sh scripts/lint.sh

bench: ## benchmarks, side by side with what people use today
	cd bench && GOWORK=off go test -run '^$$' -bench . -benchmem ./...

fuzz: ## every fuzz target for FUZZTIME (20s) each
	@sh scripts/fuzz.sh

wine: ## the tests of the stores as Windows programs, under wine, which it installs (1.1 GB)
	@sh scripts/wine.sh

soak: ## kill processes for SOAK (10m), and explore as many interleavings as that allows
	@sh scripts/secret-service.sh sh scripts/soak.sh

mutate: ## take each rule out and see the tests turn red; search the simulation whole
	GOWORK=off go test ./internal/simulation -args -sim.all
	GOWORK=off go test -timeout 20m ./internal/mutation -args -mutation.all $(ARGS)
