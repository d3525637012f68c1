// Errors of the small API server, as kube/ gives those of a real one.
import { KubeError } from '../../../kube/index.ts';

/** The error of an answer that is not 2xx. */
export function apiError(code: number, reason: string, message: string): KubeError {
  return new KubeError(code, reason, message);
}
