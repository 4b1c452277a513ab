# The entry points to learn. Everything else is behind them.
#
#   make run       build and start a demonstration: SQLite, two real MCP servers, a line to try
#   make test      every test; ends with one line of figures (make check: the quick part alone)
#   make build     .build/release/omni2-native and .build/release/omni2ctl
#   make install   the binaries and units below $(DESTDIR)$(PREFIX)
#   make lint      formatting, as the tests check it

SWIFT ?= swift
PREFIX ?= /usr
DESTDIR ?=

# The Swift runtime inside the binary, relocations read-only, no rpath: nothing of the build
# machine is needed or named on the host.
RELEASE = -c release --static-swift-stdlib --disable-local-rpath \
	-Xlinker -z -Xlinker relro -Xlinker -z -Xlinker now

export SWIFT

.PHONY: build run test check lint install setup

build: setup
	$(SWIFT) build $(RELEASE)

setup:
	@tools/setup build

run: build
	@tools/setup run
	@tools/run

test:
	@tools/setup test
	@tools/test

check:
	@tools/setup build
	@tools/test --quick

lint:
	$(SWIFT) format lint --strict -r Sources Tests Package.swift

install:
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin .build/release/omni2-native .build/release/omni2ctl
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system $(wildcard systemd/*.socket systemd/*.service)
	$(foreach kind,sysusers tmpfiles,$(if $(wildcard systemd/*.$(kind)),\
	    install -D -m 0644 systemd/*.$(kind) $(DESTDIR)$(PREFIX)/lib/$(kind).d/omni2-native.conf;))
	$(if $(wildcard systemd/*.catalog),\
	    install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/catalog systemd/*.catalog)
