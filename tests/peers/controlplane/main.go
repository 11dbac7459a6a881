// A management server made of go-control-plane, the library that most control planes are made of: serves the resources of a
// directory over ADS, state of the world and delta, on TCP and on a Unix socket.
//
//	controlplane -tcp 127.0.0.1:0 -unix /tmp/xds.sock -dir resources
//
// The directory holds files of proto JSON, each a resource with its "@type"; the bytes of NAME.tail beside NAME.json follow its encoding, as
// from a control plane that knows more fields. A line on standard input, which is the version, makes
// it read them again; the end of standard input ends it. What it does it says on standard output, a JSON object per line: "listening", "loaded",
// and "request" for every request of a client.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secret "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	// Types that resources may have, or hold.
	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
)

// Every client sees the same.
const everyone = "everyone"

type anyNode struct{}

func (anyNode) ID(*core.Node) string { return everyone }

// Says what happens, one whole line at a time.
var output struct {
	sync.Mutex
	*json.Encoder
}

func say(event string, fields map[string]any) {
	fields["event"] = event
	output.Lock()
	defer output.Unlock()
	if err := output.Encode(fields); err != nil {
		log.Fatal(err)
	}
}

func reason(detail *status.Status) string { return detail.GetMessage() }

func onRequest(stream int64, request *discovery.DiscoveryRequest) error {
	say("request", map[string]any{
		"stream": stream, "type": request.TypeUrl, "node": request.Node.GetId(), "nonce": request.ResponseNonce,
		"version": request.VersionInfo, "subscribe": request.ResourceNames, "error": reason(request.ErrorDetail),
	})
	return nil
}

func onDeltaRequest(stream int64, request *discovery.DeltaDiscoveryRequest) error {
	say("request", map[string]any{
		"stream": stream, "type": request.TypeUrl, "node": request.Node.GetId(), "nonce": request.ResponseNonce,
		"subscribe": request.ResourceNamesSubscribe, "unsubscribe": request.ResourceNamesUnsubscribe,
		"held": request.InitialResourceVersions, "error": reason(request.ErrorDetail),
	})
	return nil
}

// Reads all resources of the directory.
func load(directory, version string) (*cache.Snapshot, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.json"))
	if err != nil {
		return nil, err
	}
	resources := map[resource.Type][]types.Resource{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		wrapped := &anypb.Any{}
		if err := protojson.Unmarshal(text, wrapped); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if tail, err := os.ReadFile(strings.TrimSuffix(file, ".json") + ".tail"); err == nil {
			wrapped.Value = append(wrapped.Value, tail...)
		}
		message, err := wrapped.UnmarshalNew()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		resources[wrapped.TypeUrl] = append(resources[wrapped.TypeUrl], message)
	}
	return cache.NewSnapshot(version, resources)
}

func main() {
	tcp := flag.String("tcp", "", "address to listen on")
	unix := flag.String("unix", "", "path of a socket to listen on")
	directory := flag.String("dir", ".", "where resources are")
	version := flag.String("version", "1", "the version of what is there at the start")
	flag.Parse()
	output.Encoder = json.NewEncoder(os.Stdout)

	snapshots := cache.NewSnapshotCache(false, anyNode{}, nil)
	publish := func(version string) {
		snapshot, err := load(*directory, version)
		if err == nil {
			err = snapshots.SetSnapshot(context.Background(), everyone, snapshot)
		}
		if err != nil {
			log.Fatal(err)
		}
		say("loaded", map[string]any{"version": version})
	}
	publish(*version)

	callbacks := server.CallbackFuncs{StreamRequestFunc: onRequest, StreamDeltaRequestFunc: onDeltaRequest}
	service := server.NewServer(context.Background(), snapshots, callbacks)
	grpcServer := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer, service)
	secret.RegisterSecretDiscoveryServiceServer(grpcServer, service)
	for network, address := range map[string]string{"tcp": *tcp, "unix": *unix} {
		if address == "" {
			continue
		}
		listener, err := net.Listen(network, address)
		if err != nil {
			log.Fatal(err)
		}
		say("listening", map[string]any{"network": network, "address": listener.Addr().String()})
		go func() { log.Fatal(grpcServer.Serve(listener)) }()
	}
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		publish(input.Text())
	}
}
