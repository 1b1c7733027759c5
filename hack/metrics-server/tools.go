//go:build tools

// Package metricsserver pins, through what it imports, the modules that metrics-server is built from. It is never compiled.
package metricsserver

import _ "sigs.k8s.io/metrics-server/cmd/metrics-server"
