# transportd. "make help" lists what there is.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION) -X main.commit=$(COMMIT)
# goolm: the encryption of Matrix in Go. A plain "go build ./..." works too, without it.
TAGS    := -tags goolm
BUILD   := $(GO) build -trimpath -buildvcs=false $(TAGS)
# How long each fuzz target runs under "make fuzz".
FUZZTIME ?= 20s
# Of which packages "make bench" runs the benchmarks.
BENCH   ?= ./component/... ./bridges/...

# The web client of the tests, and the file npm writes when it is installed.
WEB     := internal/testenv/testdata/webclient
WEBDONE := $(WEB)/node_modules/.package-lock.json

.DEFAULT_GOAL := build
.PHONY: build test lint demo demo-matrix bench fuzz load clean help deps-test deps-demo deps-demo-matrix deps-debian homeserver

build: ## build bin/transportd
	$(BUILD) -ldflags '$(LDFLAGS)' -o bin/transportd ./cmd/transportd

test: deps-debian ## install what the tests need, then check and test everything
	@$(MAKE) --no-print-directory -j3 -Otarget homeserver lint $(WEBDONE)
	$(GO) test -race -count=1 -timeout 30m $(TAGS) ./...

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet $(TAGS) ./...
	$(GO) tool staticcheck $(TAGS) ./...

demo: deps-demo build ## a live conversation between XMPP and IRC on this machine
	@$(BUILD) -o bin/demo ./internal/demo
	@bin/demo -transportd bin/transportd

demo-matrix: deps-demo-matrix build ## the same between XMPP and Matrix
	@$(BUILD) -o bin/demo ./internal/demo
	@bin/demo -transportd bin/transportd -network matrix

bench: ## benchmarks, beside gosrc.io/xmpp where it does the same
	$(GO) test -run '^$$' -bench . -benchmem $(BENCH)

fuzz: ## every fuzz target for FUZZTIME
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package"; \
		done; \
	done

load: build ## load figures, beside the do-nothing relay (docs/performance.md)
	$(GO) run ./internal/load -transportd bin/transportd

deps-test: deps-debian homeserver $(WEBDONE)

deps-debian:
	@scripts/install-deps.sh test

# The Matrix homeserver of the tests: two minutes on two cores where Go's build
# cache does not have it.
homeserver: deps-debian
	@cd test/dendrite && CGO_ENABLED=1 $(GO) tool -n dendrite >/dev/null

# The browser is Debian's: none is downloaded, and no package runs a script.
$(WEBDONE): $(WEB)/package.json $(WEB)/package-lock.json | deps-debian
	cd $(WEB) && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --ignore-scripts --no-audit --no-fund
	touch $@

deps-demo deps-demo-matrix:
	@scripts/install-deps.sh $(@:deps-%=%)

clean: ## remove what was built
	rm -rf bin

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12
