package portmap_test

import (
	"fmt"
	"log"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/portmap"
)

func ExampleNew() {
	m, err := portmap.New(portmap.Config{Port: 4022})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	changed := m.Changed()
	if !m.External().IsValid() {
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
		}
	}
	if status := m.Status(); status.Err != nil {
		fmt.Println("the port is not open to the internet:", status.Err)
		return
	}
	fmt.Println("dial", m.External())
}
