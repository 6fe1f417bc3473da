# make            generate third_party/quic-go and build bin/bridge
# make run        build, start a bridge with nothing configured, add a sample folder, say how to fetch it
# make test       build the real peers and pass all tests
# make help       everything else

GO      ?= go
# Packages under test; the peers and helpers of integration/ are packages like any other.
ALL     := ./...
UNIT     = $(shell $(GO) list ./... | grep -v '/integration')
FUZZTIME ?= 10m
# Test binaries run one after the other: the integration tests and the figures want the machine for themselves.
TEST    := $(GO) test -count=1 -p 1 -timeout 40m
# Packages whose own tests compare with a real Kubo find it by this variable.
KUBO     = BRIDGE_TEST_KUBO=$$($(GO) run ./integration/peers -only kubo -path)

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := build
.PHONY: build generate peers test unit race cover lint fmt vet arch verify run bench pgo fuzz fuzz-short kill9 soak providers clean help

build: generate ## build bin/bridge
	$(GO) build -o bin/bridge ./cmd/bridge

generate: ## write third_party/quic-go (quic-go with a pluggable TLS) where it is missing or out of date
	@$(GO) -C third_party/quicgen run .

peers: generate ## build the real peers, once
	$(GO) run ./integration/peers

test: generate ## everything: the generator, all packages, the real peers
	@$(GO) run ./integration/peers -lenient
	$(GO) -C third_party/quicgen test -count=1 ./...
	@BRIDGE_LEFT_OUT=$$(mktemp); export BRIDGE_LEFT_OUT; $(KUBO) $(TEST) $(ALL); status=$$?; \
	if [ -s "$$BRIDGE_LEFT_OUT" ]; then \
	  echo; echo "LEFT OUT:"; sort -u "$$BRIDGE_LEFT_OUT" | sed 's/^/  /'; \
	fi; rm -f "$$BRIDGE_LEFT_OUT"; exit $$status

unit: generate ## all packages but the integration tests
	$(GO) test -timeout 15m $(UNIT)

race: generate ## the same with the race detector, in random order
	$(KUBO) $(GO) test -race -shuffle=on -timeout 40m $(UNIT) ./integration/fault

cover: generate ## coverage of all packages but the integration tests
	$(KUBO) $(GO) test -timeout 15m -coverprofile=coverage.out $(UNIT)
	$(GO) tool cover -func=coverage.out | tail -n 1

fmt: ## format all Go and Rust files
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

vet: generate ## gofmt and go vet
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$bad" ]; then echo "not formatted:"; echo "$$bad"; exit 1; fi
	$(GO) vet ./...
	$(GO) -C third_party/quicgen vet ./...

arch: generate ## the rules of the source tree: imports, comments, sizes, dependency floors, container files
	$(GO) test -count=1 ./integration/arch

lint: vet arch ## the same and golangci-lint with staticcheck (built from the module proxy on first use)
	$(GO) run $(GOLANGCI_LINT) run

verify: ## the module cache is what go.sum says
	$(GO) mod verify

run: build ## start a bridge, add examples/sample, print the commands that fetch it
	@$(GO) run ./examples/run -bridge bin/bridge

bench: build ## the figures of docs/benchmarks.md
	$(GO) run ./integration/peers -only kubo,rust,iroh-relay,b3sum
	$(GO) run ./integration/bench

pgo: build ## measure where the bridge spends its time, for the compiler: cmd/bridge/default.pgo
	$(GO) run ./integration/peers -only kubo,rust,iroh-relay,b3sum
	-$(GO) run ./integration/bench -rounds 1 -size 536870912 -profile cmd/bridge/default.pgo

fuzz: generate ## every fuzz target for FUZZTIME (10m), two at a time
	$(GO) run ./integration/fuzz -time $(FUZZTIME)

fuzz-short: generate ## the same for 20 seconds each, as CI does
	$(GO) run ./integration/fuzz -fresh -time 20s

kill9: generate ## kill -9 at random points, 200 rounds; every write of the mapping failing in turn
	STORE_CRASH_ROUNDS=1000 $(GO) test -count=1 -v -timeout 2h -run '^TestKilledAtRandom' ./iroh/store
	MAPPING_EVERY_WRITE=1 $(GO) test -count=1 -v -timeout 2h -run '^TestFailingWrites' ./mapping/pebble
	BRIDGE_KILL_ROUNDS=200 $(GO) test -count=1 -v -timeout 3h -run '^TestKill' ./integration

soak: generate ## an hour of transfers: memory, goroutines and files must not grow
	BRIDGE_SOAK=55m $(GO) test -count=1 -v -timeout 90m -run '^TestSoak' ./integration

providers: generate ## 1 GiB from four Rust providers of which one is good; 200 peers at once on one provider
	BRIDGE_PROVIDERS_MIB=1024 $(GO) test -count=1 -v -timeout 1h ./integration/providers

clean: ## remove what was built (the peers stay in their cache)
	rm -rf bin third_party/quic-go coverage.out

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F '\t' '{printf "%-10s %s\n", $$1, $$2}'
