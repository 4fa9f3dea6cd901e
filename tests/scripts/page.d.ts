// What the type check of static/js takes for granted: which element a selector finds is the
// template's to say, and what an event comes from is an element.
interface ParentNode {
  querySelector(selectors: string): any;
  querySelectorAll(selectors: string): NodeListOf<any>;
}

interface Document {
  getElementById(id: string): any;
}

interface Element {
  closest(selectors: string): any;
}

interface EventTarget {
  closest: any;
  matches: any;
  form?: any;
  name?: any;
}
