// SPDX-License-Identifier: Apache-2.0
// A line as small as a word, drawn as SVG: what a value did lately.
export function Spark({ values, max, width = 150, height = 34, colour = 0 }: { values: number[]; max?: number; width?: number; height?: number; colour?: number }) {
  const top = Math.max(max ?? 0, ...values, 1e-9)
  const n = Math.max(values.length - 1, 1)
  const points = values.map((v, i) => `${((i / n) * width).toFixed(1)},${(height - 2 - (v / top) * (height - 5)).toFixed(1)}`)
  if (values.length < 2) return <svg className="spark" width={width} height={height} aria-hidden><path d={`M0 ${height - 2}H${width}`} className="base" /></svg>
  return (
    <svg className={`spark series-${colour}`} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" width={width} height={height} aria-hidden>
      <path d={`M0 ${height - 2}H${width}`} className="base" />
      <polygon points={`0,${height - 2} ${points.join(' ')} ${width},${height - 2}`} className="area" />
      <polyline points={points.join(' ')} className="line" />
    </svg>
  )
}
