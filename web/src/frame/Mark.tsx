// SPDX-License-Identifier: Apache-2.0
/** The product's mark: hosts on an orbit. */
export function Mark({ size = 24 }: { size?: number }) {
  return (
    <svg className="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden>
      <circle cx="16" cy="16" r="13" fill="none" stroke="currentColor" strokeWidth="2.4" strokeDasharray="58 24" strokeLinecap="round" transform="rotate(-40 16 16)" />
      <path d="M8.5 11.5l3.4 10L16 13l4.1 8.5 3.4-10" fill="none" stroke="currentColor" strokeWidth="2.6" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  )
}
