/** What the program that is killed is started with, as JSON. */
export interface KilledSettings {
  /** The info dictionary in base64. */
  readonly info: string;
  /** Holds everything it writes. */
  readonly folder: string;
  readonly seederPort: number;
}
