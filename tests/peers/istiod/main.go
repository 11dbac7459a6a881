// Istio's discovery server and certificate authority, the real ones, with a Kubernetes API that lives in memory.
//
//	istiod -host 0.0.0.0 -config istio/ -mesh mesh.yaml -kubernetes objects/
//
// -config is a folder of Istio YAML, watched by istiod itself. -kubernetes is a folder of Secrets and Services; a line on standard
// input makes it read them again, and objects whose files have gone are deleted. What it did it says on standard output, one line each:
// "ready" once it serves, "kubernetes N" after each reading. It ends with SIGTERM.
//
// pilot-discovery ends with a nil dereference when it has no Kubernetes client, so the client is set before the server makes one; the
// field is not exported, hence the reflection.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"syscall"
	"time"
	"unsafe"

	"istio.io/istio/pilot/pkg/bootstrap"
	kubecontroller "istio.io/istio/pilot/pkg/serviceregistry/kube/controller"
	"istio.io/istio/pilot/pkg/serviceregistry/provider"
	"istio.io/istio/pkg/kube"
	authorization "k8s.io/api/authorization/v1"
	core "k8s.io/api/core/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	testing "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"
)

func main() {
	log.SetFlags(0)
	host := flag.String("host", "127.0.0.1", "address to listen on")
	config := flag.String("config", "", "folder of Istio YAML")
	mesh := flag.String("mesh", "", "mesh configuration")
	objects := flag.String("kubernetes", "", "folder of Secrets and Services")
	flag.Parse()
	if err := run(*host, *config, *mesh, *objects); err != nil {
		log.Fatal(err)
	}
}

func run(host, config, mesh, objects string) error {
	client, err := memory()
	if err != nil {
		return err
	}
	known := map[string]runtime.Object{}
	if err := reread(client.Kube(), objects, known); err != nil {
		return err
	}
	args := bootstrap.NewPilotArgs(func(args *bootstrap.PilotArgs) {
		args.Namespace = "istio-system"
		args.PodName = "istiod-0"
		args.MeshConfigFile = mesh
		args.ServerOptions = bootstrap.DiscoveryServerOptions{
			HTTPAddr: host + ":8080", MonitoringAddr: host + ":15014", GRPCAddr: host + ":15010", SecureGRPCAddr: host + ":15012",
		}
		args.RegistryOptions = bootstrap.RegistryOptions{
			FileDir:     config,
			Registries:  []string{string(provider.Kubernetes)},
			KubeOptions: kubecontroller.Options{DomainSuffix: "cluster.local", ClusterID: "Kubernetes"},
		}
		args.ShutdownDuration = time.Millisecond
	})
	server, err := bootstrap.NewServer(args, func(server *bootstrap.Server) {
		field := reflect.ValueOf(server).Elem().FieldByName("kubeClient")
		reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Set(reflect.ValueOf(client))
	})
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	if err := server.Start(stop); err != nil {
		return err
	}
	fmt.Println("ready")

	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if err := reread(client.Kube(), objects, known); err != nil {
				log.Print(err)
			}
		}
	}()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
	return nil
}

// The client of a cluster that holds three namespaces and lets every proxy read the secrets of its own.
func memory() (kube.CLIClient, error) {
	var namespaces []runtime.Object
	for _, name := range []string{"default", "istio-system", "observability"} {
		namespaces = append(namespaces, &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name}})
	}
	client := kube.NewFakeClient(namespaces...)
	memory, ok := client.Kube().(*fake.Clientset)
	if !ok {
		return nil, fmt.Errorf("the Kubernetes client is a %T", client.Kube())
	}
	memory.PrependReactor("create", "subjectaccessreviews", func(testing.Action) (bool, runtime.Object, error) {
		return true, &authorization.SubjectAccessReview{Status: authorization.SubjectAccessReviewStatus{Allowed: true}}, nil
	})
	return client, nil
}

// Makes the cluster hold what the folder says; known is what it held.
func reread(client kubernetes.Interface, folder string, known map[string]runtime.Object) error {
	if folder == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return err
	}
	here := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var kind meta.TypeMeta
		if err := yaml.Unmarshal(text, &kind); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		object, err := put(client, kind.Kind, text)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		known[file], here[file] = object, true
	}
	var failed error
	for file, object := range known {
		if !here[file] {
			failed = errors.Join(failed, remove(client, object))
			delete(known, file)
		}
	}
	fmt.Printf("kubernetes %d\n", len(files))
	return failed
}

func put(client kubernetes.Interface, kind string, text []byte) (runtime.Object, error) {
	ctx := context.Background()
	switch kind {
	case "Secret":
		secret := &core.Secret{}
		if err := yaml.UnmarshalStrict(text, secret); err != nil {
			return nil, err
		}
		// The real server moves them; the one in memory does not.
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		for name, value := range secret.StringData {
			secret.Data[name] = []byte(value)
		}
		secret.StringData = nil
		secrets := client.CoreV1().Secrets(secret.Namespace)
		_, err := secrets.Create(ctx, secret, meta.CreateOptions{})
		if kerrors.IsAlreadyExists(err) {
			_, err = secrets.Update(ctx, secret, meta.UpdateOptions{})
		}
		return secret, err
	case "Service":
		service := &core.Service{}
		if err := yaml.UnmarshalStrict(text, service); err != nil {
			return nil, err
		}
		services := client.CoreV1().Services(service.Namespace)
		_, err := services.Create(ctx, service, meta.CreateOptions{})
		if kerrors.IsAlreadyExists(err) {
			_, err = services.Update(ctx, service, meta.UpdateOptions{})
		}
		return service, err
	default:
		return nil, fmt.Errorf("no kind %q here", kind)
	}
}

func remove(client kubernetes.Interface, object runtime.Object) error {
	ctx := context.Background()
	switch object := object.(type) {
	case *core.Secret:
		return client.CoreV1().Secrets(object.Namespace).Delete(ctx, object.Name, meta.DeleteOptions{})
	case *core.Service:
		return client.CoreV1().Services(object.Namespace).Delete(ctx, object.Name, meta.DeleteOptions{})
	}
	return nil
}
