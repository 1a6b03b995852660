# Bare make says what there is. CI runs only these targets.

GO        ?= go
FUZZTIME  ?= 10s
VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -X main.version=$(VERSION)
PACKAGES  := ./...

.PHONY: help build demo run test race faults fuzz lint bench clean

help:
	@echo 'make build                 bin/kithd (the node), bin/kith (the command line), bin/kith-bench'
	@echo 'make demo [GRAPH=file]     start a node, load a follow graph, run every operation, stop'
	@echo 'make run                   a node in the foreground, data in ./kith-data'
	@echo 'make test                  all tests'
	@echo 'make race                  all tests under the race detector'
	@echo 'make faults                the tests that stop at every fail point'
	@echo 'make fuzz [FUZZTIME=10s]   every fuzz target for that long'
	@echo 'make lint                  gofmt, go vet, staticcheck, house rules'
	@echo 'make bench                 a simple load of checks against a node of its own'
	@echo 'make clean                 remove what these targets made'

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/kithd ./cmd/node
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/kith ./cmd/cli
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/kith-bench ./bench

demo: build
	GRAPH='$(GRAPH)' sh demo/demo.sh

run: build
	bin/kithd

test:
	$(GO) test $(PACKAGES)

race:
	$(GO) test -race -short $(PACKAGES)

faults:
	$(GO) test -tags failpoint ./internal/failpoint ./raftfsm ./server

# go test fuzzes one target at a time, so each is asked for by name.
fuzz:
	@set -e; for dir in $$($(GO) list -f '{{.Dir}}' $(PACKAGES)); do \
	  for target in $$(grep -h -o '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go 2>/dev/null | sed 's/^func //'); do \
	    echo "fuzz $$dir $$target"; \
	    $(GO) test $$dir -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME); \
	  done; \
	done

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change: $$unformatted"; exit 1; fi
	$(GO) vet $(PACKAGES)
	$(GO) vet -tags failpoint $(PACKAGES)
	$(GO) tool staticcheck $(PACKAGES)
	$(GO) test ./internal/lint

bench: build
	sh bench/checks.sh

clean:
	rm -rf bin kith-data demo-data
