#!/bin/sh
# Goes on for SOAK (10m unless set) where `make test` stops after seconds: kills
# the processes of internal/fleet over each store, from one seed after the other,
# and runs the simulation of internal/simulation for SEEDS (1000) of every drawn
# world, and through every searched one for every kind of server. What fails
# says with which seed. secret-service.sh puts a keyring beside it.
set -eu
cd "$(dirname "$0")/.."

export GOWORK=off
go test -race -count=1 -timeout 0 -v ./internal/fleet -args -fleet.soak="${SOAK:-10m}"
go test -count=1 -timeout 0 ./internal/simulation -args -sim.all -sim.seeds="${SEEDS:-1000}"
