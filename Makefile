# The entry points to learn. Everything else is behind them.
#
#   make run       build and start a demonstration: SQLite, two real MCP servers, a line to try
#   make test      every test; ends with one line of figures (make check: the quick part alone)
#   make build     .build/release/omni2-native and .build/release/omni2ctl
#   make deb       Debian packages in dist/
#   make install   binaries, units, manual and the cache's C library below $(DESTDIR)
#   make conformance   Autobahn's client, every case of every section
#   make bench     all benchmarks; bench-fanout, bench-cache, bench-flow and bench-gateway are its parts
#   make lint      formatting, as the tests check it

SWIFT ?= swift
PREFIX ?= /usr
DESTDIR ?=

# The Swift runtime inside the binary, relocations read-only, no rpath, no path of the build, nor a hash
# of it, as the names of cached Clang modules and the marks for incremental code generation are: nothing
# of the build machine is needed or named on the host, and two builds of one tree are the same bytes.
RELEASE = -c release --static-swift-stdlib --disable-local-rpath \
	-Xlinker -z -Xlinker relro -Xlinker -z -Xlinker now -Xlinker --as-needed \
	-Xswiftc -file-prefix-map -Xswiftc $(CURDIR)=. -Xswiftc -file-compilation-dir -Xswiftc . \
	-Xcc -ffile-prefix-map=$(CURDIR)=. \
	-Xswiftc -Xfrontend -Xswiftc -no-clang-module-breadcrumbs \
	-Xswiftc -Xfrontend -Xswiftc -disable-incremental-llvm-codegen

export SWIFT

.PHONY: build build-programs run test check conformance lint deb install setup bench bench-telemetry bench-fanout \
	bench-cache bench-flow bench-gateway

build: setup
	$(SWIFT) build $(RELEASE)

# What a package needs of it, in a tree where nothing may be installed.
build-programs:
	$(SWIFT) build $(RELEASE) --disable-sandbox --product omni2-native
	$(SWIFT) build $(RELEASE) --disable-sandbox --product omni2ctl

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
	@Tests/conformance/run --install
	@Tests/conformance/run

bench: bench-cache bench-fanout bench-flow bench-gateway bench-telemetry

# Results from shared memory, beside LMDB, memcached, Redis and others.
bench-cache: build
	@tools/setup bench
	@bench/cache/run

# One event to thousands of dashboards, beside the limit and peers.
bench-fanout: build
	@tools/setup bench
	@bench/fanout/run $(BENCH)

# What tracking adds to a request, with PostgreSQL and Redis configured.
bench-flow: build
	@tools/setup test
	@bench/flow/run $(BENCH)

# A call through the gateway, beside a direct one and two peers.
bench-gateway: build
	@tools/setup test
	@bench/gateway/run $(BENCH)

# What tracing and metrics take from the gateway's throughput.
bench-telemetry: build
	@tools/setup test
	@bench/telemetry/run $(BENCH)

lint:
	$(SWIFT) format lint --strict -r Sources Tests Package.swift

deb:
	@tools/setup deb
	packaging/build-deb dist

install:
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin .build/release/omni2-native .build/release/omni2ctl
	test -e $(DESTDIR)/etc/omni2/omni2.conf || \
	    install -D -m 0644 -t $(DESTDIR)/etc/omni2 packaging/omni2.conf
	install -D -m 0644 -t $(DESTDIR)/usr/lib/omni2/omni2.conf.d packaging/10-host.conf
	install -D -m 0644 -t $(DESTDIR)/usr/share/dbus-1/system.d packaging/org.omni2.Native1.conf
	install -D -m 0644 -t $(DESTDIR)/lib/systemd/system systemd/*.socket systemd/*.service
	install -D -m 0644 -t $(DESTDIR)/usr/lib/systemd/system-preset systemd/*.preset
	install -D -m 0644 -t $(DESTDIR)/usr/lib/systemd/catalog systemd/*.catalog
	install -D -m 0644 systemd/omni2-native.sysusers $(DESTDIR)/usr/lib/sysusers.d/omni2-native.conf
	install -D -m 0644 systemd/omni2-native.tmpfiles $(DESTDIR)/usr/lib/tmpfiles.d/omni2-native.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/man/*.1
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man5 docs/man/*.5
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man8 docs/man/*.8
	install -d $(DESTDIR)$(PREFIX)/share/omni2
	cp -R web $(DESTDIR)$(PREFIX)/share/omni2/
	$(MAKE) -C clients/c install DESTDIR=$(abspath $(DESTDIR)) PREFIX=$(PREFIX)
