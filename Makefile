# The entry points to learn. Everything else is behind them.
#
#   make run       build and start a demonstration: SQLite, two real MCP servers, a line to try
#   make test      every test; ends with one line of figures (make check: the quick part alone)
#   make build     .build/release/omni2-native and .build/release/omni2ctl
#   make deb       Debian packages in dist/
#   make install   binaries, units, manual and the cache's C library below $(DESTDIR)
#   make conformance   Autobahn's client, every case of every section
#   make bench     all benchmarks; bench-fanout, bench-cache, bench-gateway are its parts
#   make lint      formatting, as the tests check it

SWIFT ?= swift
PREFIX ?= /usr
DESTDIR ?=

# The Swift runtime inside the binary, relocations read-only, no rpath: nothing of the build
# machine is needed or named on the host.
RELEASE = -c release --static-swift-stdlib --disable-local-rpath \
	-Xlinker -z -Xlinker relro -Xlinker -z -Xlinker now

export SWIFT

.PHONY: build run test check conformance lint deb install setup bench bench-fanout bench-cache bench-gateway

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

conformance: build
	@Tests/conformance/run

bench: bench-cache bench-fanout bench-gateway

# Results from shared memory, beside LMDB, memcached, Redis and others.
bench-cache: build
	@bench/cache/run

# One event to thousands of dashboards, beside the limit and peers.
bench-fanout: build
	@bench/fanout/run $(BENCH)

# A call through the gateway, beside a direct one and two peers.
bench-gateway: build
	@bench/gateway/run $(BENCH)

lint:
	$(SWIFT) format lint --strict -r Sources Tests Package.swift

deb: setup
	packaging/build-deb dist

install:
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin .build/release/omni2-native .build/release/omni2ctl
	test -e $(DESTDIR)/etc/omni2/omni2.conf || \
	    install -D -m 0644 -t $(DESTDIR)/etc/omni2 packaging/omni2.conf
	install -D -m 0644 -t $(DESTDIR)/lib/systemd/system systemd/*.socket systemd/*.service
	install -D -m 0644 -t $(DESTDIR)/usr/lib/systemd/system-preset systemd/*.preset
	install -D -m 0644 -t $(DESTDIR)/usr/lib/systemd/catalog systemd/*.catalog
	install -D -m 0644 systemd/omni2-native.sysusers $(DESTDIR)/usr/lib/sysusers.d/omni2-native.conf
	install -D -m 0644 systemd/omni2-native.tmpfiles $(DESTDIR)/usr/lib/tmpfiles.d/omni2-native.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/man/*.1
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man5 docs/man/*.5
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man8 docs/man/*.8
	$(MAKE) -C clients/c install DESTDIR=$(abspath $(DESTDIR)) PREFIX=$(PREFIX)
