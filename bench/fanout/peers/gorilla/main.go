// A fan-out server as gorilla/websocket's chat example has it: a hub, a channel and a writer per
// connection, one prepared message per event.
package main

import (
	"net/http"
	"os"

	"github.com/gorilla/websocket"
)

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
var join = make(chan chan *websocket.PreparedMessage)
var events = make(chan *websocket.PreparedMessage, 256)

func hub() {
	subscribers := map[chan *websocket.PreparedMessage]bool{}
	for {
		select {
		case subscriber := <-join:
			subscribers[subscriber] = true
		case event := <-events:
			for subscriber := range subscribers {
				select {
				case subscriber <- event:
				default:
					close(subscriber)
					delete(subscribers, subscriber)
				}
			}
		}
	}
}

func subscribe(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	queue := make(chan *websocket.PreparedMessage, 256)
	join <- queue
	for event := range queue {
		if conn.WritePreparedMessage(event) != nil {
			break
		}
	}
	conn.Close()
}

func publish(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return
		}
		event, _ := websocket.NewPreparedMessage(websocket.TextMessage, text)
		events <- event
	}
}

func main() {
	go hub()
	http.HandleFunc("/sub", subscribe)
	http.HandleFunc("/pub", publish)
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
