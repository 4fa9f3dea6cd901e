// Micro-credits inside (BigInt), decimal strings outside: the same places as on the server.
const UCR_PER_CREDIT = 1_000_000n;

export function formatCredits(ucr) {
  const size = ucr < 0n ? -ucr : ucr;
  const fraction = String(size % UCR_PER_CREDIT).padStart(6, "0").replace(/0{1,4}$/, "");
  return `${ucr < 0n ? "-" : ""}${size / UCR_PER_CREDIT}.${fraction}`;
}
