// A bounded history: a ring of the newest events. Sequence of places: the n-th event ever put in is at
// place n, as long as it is held.

export class History {
  #items; #limit; #end = 0;

  constructor(limit) { this.#limit = limit; this.#items = new Array(limit); }

  get end() { return this.#end; }
  get start() { return Math.max(0, this.#end - this.#limit); }
  get limit() { return this.#limit; }
  get length() { return this.#end - this.start; }

  push(item) { this.#items[this.#end % this.#limit] = item; this.#end += 1; }
  at(place) { return place >= this.start && place < this.#end ? this.#items[place % this.#limit] : undefined; }
  clear() { this.#items = new Array(this.#limit); this.#end = 0; }
}
